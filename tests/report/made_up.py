"""A made-up exploration, written by the folder's own writers: quick, of every kind, and with whatever layer names."""

import hashlib
import json
import random

from dnnzip.exploration.facts import Grid, LayerFacts, NetworkFacts, Request
from dnnzip.exploration.folder import ExplorationFolder
from dnnzip.exploration.schemas import ENERGY_PARTS, NOT_COMPRESSED

HOSTILE = "</script ><img src=x onerror=\"document.title='taken'\"><b>&amp;{{7*7}}%{x}'"
NAMES = ("conv1.weight", HOSTILE, "block2/conv.weight", "fc.weight")
POOL = "pool1"
BOUNDS = ("0.5%", "1%", "2%", "5%")
SAMPLES = 1000
SIDE_BYTES = 40
TOP1 = 0.9
SHARES = {"memory": 0.45, "communication": 0.2, "computation": 0.15, "decompressor": 0.0, "leakage": 0.2}
MACHINES = [
    (accelerator, placement, timing)
    for accelerator in ("edge-lpddr4", "paper-mesh-8x8")
    for placement in ("pe", "memory-interface")
    for timing in ("serial", "overlap")
]


def layer_facts(names):
    return tuple(
        LayerFacts(
            name=name,
            operator="Gemm" if name.startswith("fc") else "Conv",
            shape=(16 * 2**number, 8, 3, 3),
            weights=16 * 2**number * 72,
            macs=16 * 2**number * 72 * 64,
            bits=32,
            compressible=True,
        )
        for number, name in enumerate(names)
    )


def request(labels, bounds, encodings):
    return Request(
        model="models/made_up.onnx",
        model_sha256="1" * 64,
        data="sets/made_up.npz",
        data_sha256="2" * 64,
        samples=SAMPLES,
        seed=7,
        tuned=None,
        tuned_sha256=None,
        batch=1,
        weight_bits=None,
        grid=Grid(
            layers=labels,
            max_error=bounds,
            error_scope=("tensor", "channel"),
            codec=("auto",),
            accelerator=("edge-lpddr4", "paper-mesh-8x8"),
            placement=("pe", "memory-interface"),
            timing=("serial", "overlap"),
        ),
        accelerator_sha256={"edge-lpddr4": "3" * 64, "paper-mesh-8x8": "4" * 64},
        points=encodings * len(MACHINES),
        encodings=encodings,
        command="dnnzip explore models/made_up.onnx --data sets/made_up.npz --max-error 0.5%,1%,2%,5% -o out",
        provenance={"dnnzip": "0.1.0", "commit": "0123456789ab", "python": "3.11.0", "command": "dnnzip explore"},
    )


def network(names):
    layers = layer_facts(names)
    weights = sum(layer.weights for layer in layers)
    return NetworkFacts(
        name="made_up.onnx", top1=TOP1, samples=SAMPLES, weights=weights, bytes=4 * weights, layers=layers
    )


def estimates(plain, kept, seconds):
    """Return a row's estimates from the plain energy (J) and latency (s), and the share of the traffic that is kept."""
    energies = {part: plain * share for part, share in SHARES.items()}
    scale = {"memory": kept, "communication": kept, "computation": 1, "decompressor": 1, "leakage": 0.3 + 0.7 * kept}
    after = {part: energies[part] * scale[part] for part in ENERGY_PARTS}
    after["decompressor"] = 0.02 * plain * (kept < 1)
    latency = seconds * (0.3 + 0.7 * kept)
    return {
        "latency_cycles": latency * 8e8,
        "latency_s": latency,
        "energy_J": sum(after.values()),
        **{f"energy_{part}_J": value for part, value in after.items()},
        "plain_latency_cycles": seconds * 8e8,
        "plain_latency_s": seconds,
        "plain_energy_J": sum(energies.values()),
        **{f"plain_energy_{part}_J": value for part, value in energies.items()},
    }


def summed(rows, names):
    return {name: sum(row[name] for row in rows) for name in names}


def write_exploration(
    path, *, names=NAMES, bounds=("0.5%", "1%", "2%", "5%"), labels=None, seed=0, finished=None, tuned=False
):
    """Write a folder; ``finished`` ends it early, as an interrupted exploration does; ``tuned`` is a setting more."""
    chance = random.Random(seed)
    facts = network(names)
    labels = labels or ("all", *names, *(f"all but {name}" for name in names), "*conv*")
    settings = [(label, bound, scope) for label in labels for bound in bounds for scope in ("tensor", "channel")]
    folder = ExplorationFolder(path)
    folder.start(request(labels, bounds, len(settings) + tuned))
    folder.write_network(facts)
    for label, bound, scope in settings[:finished]:
        fraction = float(bound.removesuffix("%")) / 100
        bits = {
            name: max(1.0, 7.2 - 2.3 * (fraction * 100) ** 0.35 - (number % 3) * 0.4) + chance.random() / 9
            for number, name in enumerate(names)
        }
        compressed = [name for name in names if in_set(label, name)]
        harm = (1.9 if scope == "tensor" else 1.0) * fraction * 0.45 * len(compressed) / len(names)
        right = round(SAMPLES * (TOP1 - harm + chance.uniform(-0.002, 0.002)))
        encoding = hashlib.sha256(f"{label}{bound}{scope}".encode()).hexdigest()[:16]
        write_encoding(folder, facts, encoding, (label, bound, scope), bits, compressed, right / SAMPLES)
    if tuned:
        bits = {name: 2.0 + number for number, name in enumerate(names)}
        write_encoding(folder, facts, "tuned0", ("tuned", "tuned", "tuned"), bits, names[1:], TOP1 - 0.008)
    return folder


def in_set(label, name):
    if label.startswith("all but "):
        return label != f"all but {name}"
    return label in ("all", name) or (label == "*conv*" and "conv" in name)


def write_encoding(folder, facts, encoding, setting, bits, compressed, top1):
    label, bound, scope = setting
    is_tuned = label == "tuned"
    fraction = 0.07 if is_tuned else float(bound.removesuffix("%")) / 100
    stream = sum(round(bits[layer.name] * layer.weights / 8) for layer in facts.layers if layer.name in compressed)
    left_out = sum(4 * layer.weights for layer in facts.layers if layer.name not in compressed)
    points, rows = [], []
    for accelerator, placement, timing in MACHINES:
        where = {"accelerator": accelerator, "placement": placement, "timing": timing}
        own = []
        for layer in facts.layers:
            is_in = layer.name in compressed
            kept = bits[layer.name] / 8 if is_in else 1.0
            slow = (3.0 if accelerator.startswith("paper") else 1.0) * (0.7 if timing == "overlap" else 1.0)
            if placement == "memory-interface":
                kept = (1 + kept) / 2
            own.append(
                {
                    "encoding": encoding,
                    "layer": layer.name,
                    "weights": layer.weights,
                    "codec": "ans" if is_in else NOT_COMPRESSED,
                    "bits_per_weight": bits[layer.name] if is_in else 32.0,
                    "bound": fraction / 1.5 if is_in else None,
                    "largest_error": fraction / 1.51 if is_in else None,
                    "mse": (fraction / 1.51) ** 2 / 3 if is_in else None,
                    "unit": "absolute" if is_in else None,
                    **where,
                    **estimates(layer.weights * 4e-10 * slow, kept, layer.weights * 3e-10 * slow),
                }
            )
        pool = {**own[0], "layer": POOL, "weights": 0, "codec": NOT_COMPRESSED, "bits_per_weight": None, "unit": None}
        own.insert(1, pool | dict.fromkeys(("bound", "largest_error", "mse")) | estimates(2e-8, 1.0, 1e-8))
        rows += own
        names = [name for name in own[0] if name.endswith(("_J", "_s", "_cycles"))]
        total = summed(own, names)
        points.append(
            {
                "point": f"{encoding}-{accelerator}-{placement}-{timing}",
                "encoding": encoding,
                "layers": label,
                "max_error": bound,
                "bound_order": None if is_tuned else fraction,
                "scope": scope,
                "codec": "tuned" if is_tuned else "auto",
                **where,
                "samples": SAMPLES,
                "top1": top1,
                "top1_plain": TOP1,
                "bits_per_weight": 8 * (stream + SIDE_BYTES + left_out) / facts.weights,
                "stream_bytes": stream,
                "side_bytes": SIDE_BYTES,
                "left_out_bytes": left_out,
                "ratio": facts.bytes / (stream + SIDE_BYTES + left_out),
                **total,
                "latency_reduction": 1 - total["latency_s"] / total["plain_latency_s"],
                "energy_reduction": 1 - total["energy_J"] / total["plain_energy_J"],
            }
        )
    folder.write_results(encoding, points, rows)


def write_tune(path):
    """Write the result of a tuning alone."""
    path.mkdir(parents=True, exist_ok=True)
    content = {
        "model": "models/made_up.onnx",
        "totals": {
            "weights": 2000,
            "stream_bytes": 690,
            "side_bytes": 10,
            "left_out_bytes": 102,
            "bits_per_weight_all": 3.208,
        },
        "layers": [
            {
                "name": HOSTILE,
                "shape": [16, 8, 3, 3],
                "weights": 1152,
                "codec": "ans",
                "stream_bytes": 500,
                "bits_per_weight": 3.4722,
                "max_error": 0.0123,
                "bound": 0.0125,
                "unit": "absolute",
                "scope": "channel",
                "chosen": "1.3%",
                "later": "of a newer version",
            }
        ],
        "left_out": [{"name": "fc.weight", "shape": [10, 84], "weights": 840, "rule": "is not worth its table"}],
        "accuracy": {
            "samples": 2000,
            "folds": 4,
            "plain_top1": 0.9,
            "tuned_top1": 0.896,
            "drop": 0.004,
            "interval": [-0.002, 0.011],
        },
        "single_bound": {"bound": "0.7%", "scope": "tensor", "drop": 0.009, "bits_per_weight": 4.5},
        "saving": 0.2871,
        "objective": {"name": "bytes", "max_drop": 0.01},
    }
    (path / "tune.json").write_text(json.dumps(content))
    return path
