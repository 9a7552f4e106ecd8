"""Interest of a user in items, by text: the late interaction of the history's item vectors with the candidates'.

Reads scorer.onnx and the item vectors of a bundle; runs on ONNX Runtime, without a training framework.
"""

import ctypes
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from recsys.bundle_files import GATHER_FILE
from recsys.errors import BundleError
from recsys.interest_inputs import Inputs, Question, padded_candidates
from recsys.onnx_options import session_options
from recsys.packed_model import discard, packed
from recsys.soft_maximum import SoftMaximum
from recsys.state import SECONDS_A_DAY, Positions, UserState

Vectors = NDArray[np.float32]

SIGNALS: Final = ("text_interest", "text_nearest", "text_last_occasion", "text_query", "text_close")
"""What the scorer says of a user and an item: the interest (the soft maximum of the cosine over the history, blended
with a query where there is one), the hard maximum over the history, the soft maximum over the latest occasion alone,
the cosine to the query, 0 without one, each in [0, 1]; and how many items of the history are close to it."""

TYPES: Final = "types"
LABELS: Final = "labels"
"""Metadata of scorer.onnx: JSON lists of the interaction types and of the labels that it knows."""

TOWER: Final = "tower"
"""Metadata of scorer.onnx: the parameters of the user tower by name, as JSON (recsys.soft_maximum)."""

CUDA: Final = "CUDAExecutionProvider"
CPU: Final = "CPUExecutionProvider"
GPU: Final = "cuda"
"""What ONNX Runtime calls the memory of CUDA."""

EXACT_FLOAT32: Final = {"use_tf32": "0"}
"""By default CUDA rounds float32 to 10 bits before it multiplies: vectors would be others than on a CPU."""

MOST_ROWS: Final = 1 << 17
"""Candidates of all users of a run, filled up: with vectors of 384 numbers they take 200 MB of the device."""

SLOWER_ON_CPU: Final = ("SkipLayerNormFusion",)
"""Optimisers of ONNX Runtime: layer norm fused with the addition before it takes many times as long as the two alone,
and an encoder in int8 a quarter longer with it."""


def signal_names(labels: Sequence[str]) -> tuple[str, ...]:
    """The columns of a scorer's signals: SIGNALS and, with several labels, the interest for each of them."""
    of_labels = [f"text_interest_{name}" for name in labels] if len(labels) > 1 else []
    return (*SIGNALS, *of_labels)


class Session(onnxruntime.InferenceSession):  # type: ignore[misc]  # it has no types
    """A model on the GPU when ONNX Runtime can use one, else on the CPU, without noise in the log."""

    def __init__(self, path: Path, *, threads: int, packed_in: Path | None) -> None:
        providers = execution_providers()
        disabled = SLOWER_ON_CPU if providers == [CPU] else ()
        shared = packed(path, packed_in, disabled) if packed_in is not None and providers == [CPU] else None
        if shared is not None:
            optimised = session_options(threads=threads)
            optimised.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            try:
                super().__init__(shared, optimised, providers=providers)
                return
            except Exception as error:  # ONNX Runtime has a class of its own for each way to fail
                discard(shared, error)
        super().__init__(
            path,
            session_options(threads=threads),
            providers=[(name, EXACT_FLOAT32 if name == CUDA else {}) for name in providers],
            disabled_optimizers=list(disabled),
        )


def onnx_session(path: Path, *, threads: int = 1, packed_in: Path | None = None) -> onnxruntime.InferenceSession:
    """The session of a model.

    packed_in  the folder of what processes share of it (recsys.packed_model), on a CPU; None: nothing
    """
    return Session(path, threads=threads, packed_in=packed_in)


def execution_providers() -> list[str]:
    """CUDA when the build has it and a device is there; asking for it without one writes errors to the log."""
    return [CUDA, CPU] if CUDA in onnxruntime.get_available_providers() and has_nvidia_gpu() else [CPU]


def has_nvidia_gpu() -> bool:
    """Ask the driver, for ONNX Runtime lists what it was compiled with, not what works."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int()
    found = driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
    if found:
        onnxruntime.preload_dlls()  # the CUDA and cuDNN wheels of recsys[gpu]
    return found


def signals_of(scorer: Path) -> tuple[str, ...]:
    """The signals of a scorer.onnx, without the vectors that it needs to score."""
    return _signals(onnx_session(scorer).get_modelmeta().custom_metadata_map)


def _signals(about: Mapping[str, str]) -> tuple[str, ...]:
    return signal_names(json.loads(about[LABELS]))


class InterestScorer:
    """Scores one user's history, or a query, or both, against items of the catalogue."""

    def __init__(
        self, scorer: Path, vectors: Vectors, *, history_items: int, threads: int = 1, batch: Path | None = None
    ) -> None:
        """`vectors` is float32 (n_items, d), unit length, in the order of the catalogue; it may be memory-mapped.

        batch  the graph of the same user tower for several users at once; None: each has a run of its own
        """
        self.history_items = history_items
        self._path = scorer
        self._session = onnx_session(scorer, threads=threads)
        self._batch = None if batch is None else onnx_session(batch, threads=threads)
        about = self._session.get_modelmeta().custom_metadata_map
        self.signals = _signals(about)
        self._kinds = {name: kind for kind, name in enumerate(json.loads(about[TYPES]))}
        self._tower = json.loads(about.get(TOWER, "null"))
        self._rows = DeviceRows(scorer.with_name(GATHER_FILE), vectors, on_gpu=self.on_gpu)

    @property
    def on_gpu(self) -> bool:
        """Whether it computes on one."""
        return CUDA in self._session.get_providers()

    @property
    def scores_together(self) -> bool:
        """Whether several users share a run."""
        return self._batch is not None

    @property
    def vectors(self) -> Vectors:
        """The item vectors; others may take their place."""
        return self._rows.values

    @vectors.setter
    def vectors(self, vectors: Vectors) -> None:
        self._rows.values = vectors

    def score(
        self, user: UserState, now: float, candidates: Positions | None = None, query: Vectors | None = None
    ) -> Vectors:
        """One user's interest in each candidate: float32 (n_candidates, len(self.signals)).

        user        the latest history_items of the history count, and of those the ones of a known type
        now         seconds since the epoch
        candidates  positions; None: the whole catalogue
        query       float32 (d,), the unit vector of what the user asks for

        Without a history and a query all are zeros.
        """
        count = len(self.vectors) if candidates is None else len(candidates)
        inputs = self._inputs(Question(user, now, candidates, query)) if count else None
        if inputs is None:
            return np.zeros((count, len(self.signals)), dtype=np.float32)
        binding = self._session.io_binding()
        for name, values in inputs._asdict().items():
            if name != "history":
                binding.bind_cpu_input(name, values)
        binding.bind_ortvalue_input("history", self._rows.of(inputs.history))
        binding.bind_ortvalue_input("candidates", self._rows.of(candidates))
        binding.bind_output("signals")
        self._session.run_with_iobinding(binding)
        return np.asarray(binding.copy_outputs_to_cpu()[0], dtype=np.float32)

    def score_many(self, questions: Sequence[Question]) -> list[Vectors]:
        """What `score` says to each, in as few runs as there can be.

        Those about the whole catalogue have a run of their own each, and so have all without a graph for several users.
        """
        found: list[Vectors | None] = [None] * len(questions)
        together: list[tuple[int, Positions, Inputs]] = []
        for at, asked in enumerate(questions):
            if self._batch is None or asked.candidates is None or len(asked.candidates) == 0:
                found[at] = self.score(*asked)
            elif (inputs := self._inputs(asked)) is None:
                found[at] = np.zeros((len(asked.candidates), len(self.signals)), dtype=np.float32)
            else:
                together.append((at, asked.candidates, inputs))
        # Of like length beside one another, so that there is little to fill up.
        together.sort(key=lambda one: -len(one[1]))
        while together:
            most = max(1, MOST_ROWS // len(together[0][1]))
            run, together = together[:most], together[most:]
            signals = self._run_batch([inputs for _, _, inputs in run], [candidates for _, candidates, _ in run])
            for (at, candidates, _), of_one in zip(run, signals, strict=True):
                # A copy, or whoever keeps the signals of one user would keep those of all.
                found[at] = of_one[: len(candidates)].copy()
        return [one for one in found if one is not None]

    def _run_batch(self, users: Sequence[Inputs], candidates: Sequence[Positions]) -> Vectors:
        """Signals of several users: float32 (users, the most candidates of one, signals)."""
        assert self._batch is not None
        binding = self._batch.io_binding()
        binding.bind_ortvalue_input("vectors", self._rows.of(None))
        for name, values in Inputs.padded(users)._asdict().items():
            binding.bind_cpu_input(name, values)
        binding.bind_cpu_input("candidates", padded_candidates(candidates))
        binding.bind_output("signals")
        self._batch.run_with_iobinding(binding)
        return np.asarray(binding.copy_outputs_to_cpu()[0], dtype=np.float32)

    def _inputs(self, asked: Question) -> Inputs | None:
        """None of a user without a history who asks for nothing."""
        kinds, known = self._known(asked.user)
        if len(known) == 0 and asked.query is None:
            return None
        return Inputs.of(asked, kinds, known, dimension=self.vectors.shape[1])

    def soft_maximum(self, user: UserState, now: float, query: Vectors | None = None) -> SoftMaximum | None:
        """The interest alone, of any vector: what `score` says first, as a cosine; None without a history and a query.

        Raises BundleError for a scorer of a version that did not keep the parameters of the tower.
        """
        if self._tower is None:
            raise BundleError(f"{self._path}: it keeps no parameters of the user tower; train again with this version")
        kinds, known = self._known(user)
        if len(known) == 0 and query is None:
            return None
        return SoftMaximum.of(
            self._tower,
            self.vectors[user.history[known]],
            query,
            kinds=kinds[known],
            age_days=(now - user.last_at[known]) / SECONDS_A_DAY,
            occasions=user.occasions[known],
        )

    def _known(self, user: UserState) -> tuple[Positions, Positions]:
        """The type of each item of the history that counts, -1 for one never heard of; and where they are known."""
        kinds = np.array([self._kinds.get(name, -1) for name in user.types[: self.history_items]], dtype=np.int64)
        return kinds, np.flatnonzero(kinds >= 0)


class DeviceRows:
    """Item vectors where the scorer runs: on a GPU they are copied there once, on the CPU they stay where they are."""

    def __init__(self, gather: Path, values: Vectors, *, on_gpu: bool) -> None:
        """`gather`: the graph that picks rows on the device; only a GPU needs it."""
        self._gather = onnx_session(gather) if on_gpu else None
        self.values = values

    @property
    def values(self) -> Vectors:
        """float32 (n_items, d)."""
        return self._values

    @values.setter
    def values(self, values: Vectors) -> None:
        self._values = values
        if self._gather is not None:
            self._on_device = onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(values), GPU, 0)

    def of(self, positions: Positions | None) -> onnxruntime.OrtValue:
        """The rows (n, d) of positions, or all of them."""
        if self._gather is None:
            rows = self._values if positions is None else self._values.take(positions, axis=0)
            return onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(rows))
        if positions is None:
            return self._on_device
        binding = self._gather.io_binding()
        binding.bind_ortvalue_input("vectors", self._on_device)
        binding.bind_cpu_input("positions", np.ascontiguousarray(positions))
        binding.bind_output("rows", GPU, 0)
        self._gather.run_with_iobinding(binding)
        return binding.get_outputs()[0]
