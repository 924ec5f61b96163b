"""Metrics of networks that are no classifiers of images: language models, detectors, speech, sentences.

Each takes a session, or several, of onnxruntime and the arrays of a data set, and returns one number.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dnnzip.evaluation.runtime import Session

Arrays = Mapping[str, NDArray[np.generic]]
Metric = Callable[[Sequence[Session], Arrays], float]

#: Samples of a block of DTLN, and those that each block adds.
BLOCK, SHIFT = 512, 128
STATE = (1, 2, 128, 2)
LATENCY = BLOCK - SHIFT

#: Sentences that run at once.
SENTENCES = 60

#: Strides of a YOLOX detector for images of this size; least scores of a detection and of a reference box.
STRIDES, IMAGE = (8, 16, 32), 416
LEAST_SCORE, LEAST_REFERENCE = 0.1, 0.4
SAME_BOX, SUPPRESSED = 0.5, 0.45


def perplexity(sessions: Sequence[Session], data: Arrays) -> float:
    """Return the perplexity of a language model over windows ``input_ids`` [windows, tokens]."""
    (session,) = sessions
    name = session.get_inputs()[0].name
    losses = []
    for window in data["input_ids"]:
        scores = session.run(None, {name: window[None, :-1]})[0][0].astype(np.float64)
        scores -= scores.max(axis=1, keepdims=True)
        right = scores[np.arange(len(scores)), window[1:]]
        losses.append(np.mean(np.log(np.exp(scores).sum(axis=1)) - right))
    return float(np.exp(np.mean(losses)))


def rank_correlation(sessions: Sequence[Session], data: Arrays) -> float:
    """Return Spearman's coefficient times 100: cosines of pairs of sentences against their scores by people."""
    (session,) = sessions
    names = [value.name for value in session.get_inputs()]
    lengths = data["attention_mask"].sum(axis=1)
    order = np.argsort(lengths, kind="stable")
    vectors: dict[int, NDArray[np.float64]] = {}
    for start in range(0, len(order), SENTENCES):
        part = order[start : start + SENTENCES]
        found = session.run(None, {name: data[name][part, : int(lengths[part].max())] for name in names})[0]
        vectors |= dict(zip(part.tolist(), found.astype(np.float64), strict=True))
    rows = np.array([vectors[i] for i in range(len(order))])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = (rows[0::2] * rows[1::2]).sum(axis=1)
    return float(100 * np.corrcoef(_ranks(cosines), _ranks(data["score"]))[0, 1])


def _ranks(values: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return the rank of each value; equal ones share the mean of theirs."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[group])


def frame_accuracy(sessions: Sequence[Session], data: Arrays) -> float:
    """Return the share of labelled frames of 16 kHz speech that a detector decides rightly."""
    (session,) = sessions
    speech = session.run(None, {name: data[name] for name in ("input", "h", "c")})[0].reshape(-1) > 0.5
    label = data["label"].astype(np.int64)
    known = label < 255
    return float((speech == (label == 1))[known].mean())


def signal_to_distortion(sessions: Sequence[Session], data: Arrays) -> float:
    """Return the scale-invariant signal-to-distortion ratio, in dB, of speech that two networks of DTLN enhance."""
    names = [[value.name for value in session.get_inputs()] for session in sessions]
    noisy = data["noisy"].astype(np.float32)
    states = [np.zeros(STATE, np.float32) for _ in sessions]
    block, summed, out = np.zeros(BLOCK, np.float32), np.zeros(BLOCK, np.float32), np.zeros_like(noisy)
    for start in range(0, len(noisy) - SHIFT + 1, SHIFT):
        block = np.concatenate([block[SHIFT:], noisy[start : start + SHIFT]])
        spectrum = np.fft.rfft(block)
        magnitude = np.abs(spectrum).astype(np.float32)[None, None]
        mask, states[0] = sessions[0].run(None, dict(zip(names[0], (magnitude, states[0]), strict=True)))
        estimate = np.fft.irfft(spectrum * mask[0, 0]).astype(np.float32)[None, None]
        enhanced, states[1] = sessions[1].run(None, dict(zip(names[1], (estimate, states[1]), strict=True)))
        summed = np.concatenate([summed[SHIFT:], np.zeros(SHIFT, np.float32)]) + enhanced[0, 0]
        out[start : start + SHIFT] = summed[:SHIFT]
    wanted = data["clean"].astype(np.float64)[: len(out) - LATENCY]
    signal = out[LATENCY:].astype(np.float64)
    target = wanted * (signal @ wanted) / (wanted @ wanted)
    return float(10 * np.log10((target @ target) / ((signal - target) @ (signal - target))))


def average_precision_against(reference: Session) -> Metric:
    """Return the metric of a YOLOX detector: AP50 against the boxes that another network finds."""
    cache: list[list[_Boxes]] = []

    def metric(sessions: Sequence[Session], data: Arrays) -> float:
        (session,) = sessions
        if not cache:
            cache.append([_boxes(reference, image) for image in data["images"]])
        wanted = [found.above(LEAST_REFERENCE) for found in cache[0]]
        return _average_precision([_boxes(session, image) for image in data["images"]], wanted)

    return metric


class _Boxes:
    """Detections of an image, from the highest score to the lowest."""

    def __init__(self, boxes: NDArray[np.float64], scores: NDArray[np.float64], classes: NDArray[np.int64]) -> None:
        order = np.argsort(-scores, kind="stable")
        # Corners [n, 4], and of each box its score and class.
        self.boxes, self.scores, self.classes = boxes[order], scores[order], classes[order]

    def of(self, chosen: NDArray[np.generic]) -> "_Boxes":
        """Return some of them."""
        return _Boxes(self.boxes[chosen], self.scores[chosen], self.classes[chosen])

    def above(self, score: float) -> "_Boxes":
        """Return those of higher scores."""
        return self.of(self.scores > score)

    def overlaps(self, box: NDArray[np.float64], label: int) -> NDArray[np.float64]:
        """Return intersection over union of a box with each; 0 with those of another class."""
        sides = np.minimum(self.boxes[:, 2:], box[2:]) - np.maximum(self.boxes[:, :2], box[:2])
        common = np.maximum(sides, 0).prod(axis=1)
        areas = (self.boxes[:, 2:] - self.boxes[:, :2]).prod(axis=1)
        shares = common / (areas + (box[2:] - box[:2]).prod() - common + 1e-9)
        return np.where(self.classes == label, shares, 0.0)


def _boxes(session: Session, image: NDArray[np.generic]) -> _Boxes:
    """Return the detections of an image after those that overlap a better one have been taken out."""
    rows = session.run(None, {session.get_inputs()[0].name: image[None]})[0][0].astype(np.float64)
    cells = [(IMAGE // stride, stride) for stride in STRIDES]
    places = np.concatenate([np.stack(tuple(np.mgrid[:count, :count][::-1]), -1).reshape(-1, 2) for count, _ in cells])
    strides = np.concatenate([np.full((count * count, 1), stride) for count, stride in cells])
    centres, sides = (rows[:, :2] + places) * strides, np.exp(rows[:, 2:4]) * strides
    scores = rows[:, 4:5] * rows[:, 5:]
    found = _Boxes(np.hstack([centres - sides / 2, centres + sides / 2]), scores.max(axis=1), scores.argmax(axis=1))
    found = found.above(LEAST_SCORE)
    kept, left = [], np.ones(len(found.scores), np.bool_)
    for i in range(len(left)):
        if left[i]:
            kept.append(i)
            left &= found.overlaps(found.boxes[i], int(found.classes[i])) <= SUPPRESSED
    return found.of(np.array(kept, np.int64))


def _average_precision(found: Sequence[_Boxes], wanted: Sequence[_Boxes]) -> float:
    """Return the area under the precision at each recall, detections of all images by falling score."""
    ranked = sorted(
        ((score, i, j) for i, boxes in enumerate(found) for j, score in enumerate(boxes.scores)), reverse=True
    )
    is_taken = [np.zeros(len(boxes.scores), np.bool_) for boxes in wanted]
    hits = []
    for _, i, j in ranked:
        overlaps = wanted[i].overlaps(found[i].boxes[j], int(found[i].classes[j]))
        overlaps = np.where(is_taken[i], 0.0, overlaps)
        is_hit = bool(overlaps.size) and float(overlaps.max()) > SAME_BOX
        if is_hit:
            is_taken[i][int(overlaps.argmax())] = True
        hits.append(is_hit)
    right = np.cumsum(hits)
    recall = right / sum(map(len, is_taken))
    precision = np.maximum.accumulate((right / np.arange(1, len(hits) + 1))[::-1])[::-1]
    return float((np.diff(np.concatenate([[0.0], recall])) * precision).sum())
