"""The words of ``--layers`` on the digits network."""

import pytest

from dnnzip import digits
from dnnzip.errors import InputError
from dnnzip.exploration.layer_sets import layer_sets
from dnnzip.onnx.files import load_model
from dnnzip.onnx.weights import find_weights

NAMES = ("conv1.weight", "conv2.weight", "fc1.weight", "fc2.weight", "fc3.weight")


@pytest.fixture(scope="module")
def weights():
    found, _ = find_weights(load_model(digits.MODEL))
    assert tuple(weight.name for weight in found) == NAMES
    return found


def sets(weights, *words):
    return {layers.label: layers.names for layers in layer_sets(words, weights)}


def test_words_stand_for_sets(weights):
    assert sets(weights, "all") == {"all": NAMES}
    assert sets(weights, "each") == {name: (name,) for name in NAMES}
    assert sets(weights, "all-but-one") == {
        f"all but {name}": tuple(other for other in NAMES if other != name) for name in NAMES
    }
    assert sets(weights, "largest") == {"largest": ("fc1.weight",)}
    # 48,000, 10,080 and 2,400 weights; the order is the network's.
    assert sets(weights, "largest:3") == {"largest 3": ("conv2.weight", "fc1.weight", "fc2.weight")}
    assert sets(weights, "fc?.weight") == {"fc?.weight": NAMES[2:]}
    assert sets(weights, "fc3*+conv*") == {"fc3*+conv*": ("conv1.weight", "conv2.weight", "fc3.weight")}


def test_of_equal_sets_the_first_is_kept(weights):
    assert sets(weights, "largest", "each", "all", "largest:5", "*") == {
        "largest": ("fc1.weight",),
        **{name: (name,) for name in NAMES if name != "fc1.weight"},
        "all": NAMES,
    }


def test_a_network_of_one_layer_has_no_set_without_it(weights):
    assert sets(weights[:1], "all-but-one") == {}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("nothing", "layers 'nothing': 'nothing' matches no weight that can be compressed; give all, each"),
        ("fc1*+nothing", "layers 'fc1\\*\\+nothing': 'nothing' matches no weight"),
        ("largest:0", "layers 'largest:0': '0' is no number of layers; give 1 to 5"),
        ("largest:6", "layers 'largest:6': '6' is no number of layers; give 1 to 5"),
        ("largest:x", "layers 'largest:x': 'x' is no number of layers; give 1 to 5"),
        ("largest:", "layers 'largest:': '' is no number of layers; give 1 to 5"),
    ],
)
def test_a_wrong_word_is_told(weights, word, message):
    with pytest.raises(InputError, match=f"^{message}"):
        layer_sets([word], weights)
