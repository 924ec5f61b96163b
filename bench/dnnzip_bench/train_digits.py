"""Train LeNet-5 on scikit-learn's handwritten digits and write the files that ``dnnzip.digits`` names.

It needs the extra ``train`` and a few minutes on one core. Everything random comes from ``SEED``.

The images are split once into a training part and a held-out test part, stratified by digit. A fifth of the training
part chooses the number of epochs; the network that is kept is then trained on the whole training part for that many.
The test part is read for the first time after that, to print the accuracy.

The network is LeNet-5 as Y. LeCun et al. lay it out in "Gradient-based learning applied to document recognition"
(Proceedings of the IEEE, 1998), with three usual changes: every map of the second convolution sees all six maps of the
first, the non-linearity is ReLU, the pooling takes maxima.
"""

from pathlib import Path

import click
import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from dnnzip import digits
from dnnzip.evaluation.accuracy import evaluate
from dnnzip.evaluation.dataset import Dataset
from dnnzip_bench.command import folder_option, run

SEED = 20200826
TEST_SHARE = 0.25
VALIDATION_SHARE = 0.2
EPOCHS = range(20, 101, 20)
BATCH = 32
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 1e-4
LARGEST_ANGLE = np.deg2rad(8)
LARGEST_SHIFT = 0.1  # of half the image's width
GREY_LEVELS = 16.0
SIDE = 32
OPSET = 21
IR_VERSION = 10


class LeNet5(nn.Module):
    """LeNet-5: float32 [N, 1, 8, 8] grey values 0 to 16 in, float32 [N, 10] logits out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits of the images ``x``."""
        large = nn.functional.interpolate(x / GREY_LEVELS, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
        maps = nn.functional.max_pool2d(torch.relu(self.conv1(large)), 2)
        maps = nn.functional.max_pool2d(torch.relu(self.conv2(maps)), 2)
        hidden = torch.relu(self.fc1(maps.flatten(1)))
        return self.fc3(torch.relu(self.fc2(hidden)))


def jittered(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return the images ``x`` [N, 1, 8, 8], each turned and shifted a little at random."""
    count = len(x)
    angle = (2 * torch.rand(count, generator=generator) - 1) * LARGEST_ANGLE
    shift = (2 * torch.rand(count, 2, generator=generator) - 1) * LARGEST_SHIFT
    rows = (
        torch.stack([torch.cos(angle), -torch.sin(angle), shift[:, 0]], dim=1),
        torch.stack([torch.sin(angle), torch.cos(angle), shift[:, 1]], dim=1),
    )
    grid = nn.functional.affine_grid(torch.stack(rows, dim=1), list(x.shape), align_corners=False)
    return nn.functional.grid_sample(x, grid, align_corners=False)


def trained(x: torch.Tensor, y: torch.Tensor, epochs: int) -> LeNet5:
    """Return a network trained for ``epochs`` on the images ``x`` [N, 1, 8, 8] with the labels ``y`` [N]."""
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    network = LeNet5()
    steps_per_epoch = -(-len(x) // BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=3 * LEARNING_RATE, epochs=epochs, steps_per_epoch=steps_per_epoch
    )
    for _ in range(epochs):
        for chosen in torch.randperm(len(x), generator=generator).split(BATCH):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(network(jittered(x[chosen], generator)), y[chosen])
            loss.backward()
            optimizer.step()
            schedule.step()
    network.eval()
    return network


def best_epochs(x: torch.Tensor, y: torch.Tensor) -> int:
    """Return the one of ``EPOCHS`` with the smallest loss on a validation part of the images ``x`` and labels ``y``."""
    x_train, x_val, y_train, y_val = train_test_split(x, y, test_size=VALIDATION_SHARE, stratify=y, random_state=SEED)
    losses = {}
    for epochs in EPOCHS:
        network = trained(x_train, y_train, epochs)
        with torch.no_grad():
            logits = network(x_val)
        losses[epochs] = float(nn.functional.cross_entropy(logits, y_val))
        accuracy = float((logits.argmax(1) == y_val).float().mean())
        print(f"{epochs} epochs: validation loss {losses[epochs]:.4f}, accuracy {accuracy:.4f}", flush=True)
    return min(losses, key=losses.__getitem__)


def as_onnx(network: LeNet5) -> onnx.ModelProto:
    """Return the network as an ONNX model with a free batch size and initializers named as in PyTorch."""
    initializers = [
        numpy_helper.from_array(value.detach().numpy(), name) for name, value in network.state_dict().items()
    ]
    initializers += [
        numpy_helper.from_array(np.array(GREY_LEVELS, np.float32), "grey_levels"),
        numpy_helper.from_array(np.array([1, 1, SIDE / 8, SIDE / 8], np.float32), "scales"),
    ]
    nodes = [
        helper.make_node("Div", ["x", "grey_levels"], ["scaled"], "scale"),
        helper.make_node(
            "Resize", ["scaled", "", "scales"], ["image"], "enlarge",
            mode="linear", coordinate_transformation_mode="half_pixel",
        ),
        helper.make_node("Conv", ["image", "conv1.weight", "conv1.bias"], ["conv1"], "conv1", kernel_shape=[5, 5]),
        helper.make_node("Relu", ["conv1"], ["relu1"], "relu1"),
        helper.make_node("MaxPool", ["relu1"], ["pool1"], "pool1", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["pool1", "conv2.weight", "conv2.bias"], ["conv2"], "conv2", kernel_shape=[5, 5]),
        helper.make_node("Relu", ["conv2"], ["relu2"], "relu2"),
        helper.make_node("MaxPool", ["relu2"], ["pool2"], "pool2", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["pool2"], ["flat"], "flatten"),
        helper.make_node("Gemm", ["flat", "fc1.weight", "fc1.bias"], ["fc1"], "fc1", transB=1),
        helper.make_node("Relu", ["fc1"], ["relu3"], "relu3"),
        helper.make_node("Gemm", ["relu3", "fc2.weight", "fc2.bias"], ["fc2"], "fc2", transB=1),
        helper.make_node("Relu", ["fc2"], ["relu4"], "relu4"),
        helper.make_node("Gemm", ["relu4", "fc3.weight", "fc3.bias"], ["logits"], "fc3", transB=1),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "lenet5_digits",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 10])],
        initializers,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="dnnzip"
    )
    model.doc_string = f"LeNet-5 on scikit-learn's digits, made by dnnzip_bench.train_digits with seed {SEED}"
    onnx.checker.check_model(model, full_check=True)
    return model


@click.command()
@folder_option(digits.MODEL.parent, "Folder for the two files.")
def train(folder: Path) -> None:
    """Train LeNet-5 on scikit-learn's handwritten digits, and print the accuracy on the held-out images."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    data = load_digits()
    x = data.images.astype(np.float32)[:, np.newaxis]
    y = data.target.astype(np.int64)
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=TEST_SHARE, stratify=y, random_state=SEED)

    x_train_tensor, y_train_tensor = torch.from_numpy(x_train), torch.from_numpy(y_train)
    epochs = best_epochs(x_train_tensor, y_train_tensor)
    model = as_onnx(trained(x_train_tensor, y_train_tensor, epochs))

    onnx.save(model, folder / digits.MODEL.name)
    np.savez_compressed(folder / digits.TEST_SET.name, x=x_test, y=y_test)
    accuracy = evaluate(model, Dataset(x_test, y_test, "held-out images"))
    click.echo(f"seed {SEED}, {epochs} epochs, {len(x_train)} training images")
    click.echo(f"accuracy on the {len(x_test)} held-out images: {accuracy.top1:.4f}")


if __name__ == "__main__":
    run(train)
