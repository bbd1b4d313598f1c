"""Planning: from a job and its case's defaults to the specification of a run."""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from nnlite import cases, configured, nn
from nnlite.case_file import CaseFile
from nnlite.cases import Case
from nnlite.data import Augment, Dataset, Values
from nnlite.errors import UsageError
from nnlite.protocol.records.spec import DataSpec, OwnCode, RunSpec
from nnlite.protocol.records.tree import Tree
from nnlite.runs import scaling
from nnlite.runs.job import Job
from nnlite.runs.scaling import Scaling
from nnlite.store.naming import absolute, is_near


def run_id(name: str) -> str:
    """A fresh id that says what, and when."""
    return f"{stem(name)}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"


def stem(name: str) -> str:
    """A case's name as the beginning of a run's id."""
    return re.sub(r"[^a-z0-9]", "-", name.lower())[:32].strip("-") or "run"


def data_spec(dataset: Dataset, augment: Augment | None = None, store: str | None = None) -> DataSpec:
    """Where workers find their samples. store: the URL, if it is not the run's own."""
    values = Values.of(dataset.train)
    return DataSpec(
        name=dataset.name,
        digest=dataset.digest(),
        num_train=len(dataset.train),
        num_test=len(dataset.test),
        mean=dataset.mean,
        std=dataset.std,
        store=store,
        augment=augment.config() if augment else None,
        dtype=values.dtype,
        low=values.low,
        high=values.high,
        class_names=dataset.class_names,
        amounts=asdict(dataset.amounts) if dataset.amounts is not None else None,
        inputs=dataset.inputs.to_json() if dataset.inputs is not None else None,
    )


def specify(
    case: Case, network: nn.Sequential, optimizer: nn.Optimizer, data: DataSpec, workers: int = 1,
    tree: tuple[int, ...] | None = None, **chosen: Any,
) -> RunSpec:  # fmt: skip
    """The specification of a run of `case`. chosen: fields of it; those that are None stay as the case has them."""
    given = {name: value for name, value in chosen.items() if value is not None}
    return RunSpec(
        **{
            "run": run_id(case.name),
            "case": case.name,
            "seed": 0,
            "num_workers": workers,
            "tree_widths": Tree.for_workers(workers, tree).widths,
            "num_rounds": case.num_rounds,
            "batch_size": case.batch_size,
            "network": network.config(),
            "optimizer": optimizer.config(),
            "data": data,
            **given,
        }
    )


def plan(job: Job, dataset: Dataset | None = None, given: Case | None = None) -> tuple[Dataset, RunSpec]:
    """The dataset, unless it is given, and the specification of a run that does the job.

    given: the case, where it is not the one that the job names.

    Raises UsageError for a job that contradicts itself, its case or its data; DataNotFound.
    """
    case, file = (given, None) if given is not None else configured.find(job.case)
    if dataset is None:
        dataset = cases.dataset(case, job.dataset, Path(job.data) if job.data else None, job.reading)
    case = cases.suited(case, dataset)
    job = _with_usual_schedule(job, case)
    network = cases.network(case, dataset)
    scaled = _scaling(job, case)
    batch_size = scaled.batch_size if scaled else job.batch_size if job.batch_size is not None else case.batch_size
    per_epoch = -(-len(dataset.train) // (max(1, job.workers) * max(1, batch_size)))  # steps of a worker
    steps_per_round = _steps_per_round(job, case, scaled, per_epoch)
    num_rounds = _num_rounds(job, case, per_epoch, steps_per_round)
    optimizer = cases.optimizer(case, job.optimizer, job.learning_rate, job.weight_decay, job.clip_norm)
    augment = _augment(job, case, dataset)
    optimizer = _scheduled(job, optimizer, num_rounds * (steps_per_round or per_epoch), scaled)
    per_pass = _rounds_per_pass(job, steps_per_round, per_epoch)
    spec = specify(
        case,
        network,
        optimizer,
        data_spec(dataset, augment, absolute(data_store(job))),
        job.workers,
        job.tree,
        run=job.run or (run_id(Path(dataset.name).stem) if case.name == cases.AUTO.name else None),
        seed=job.seed,
        num_rounds=num_rounds,
        batch_size=batch_size,
        protocol=job.protocol,
        **_together(job, scaled, num_rounds),
        eval_every=_eval_every(job, per_pass),
        threads=job.threads,
        steps_per_round=steps_per_round,
        checkpoint_every=job.checkpoint_every or (per_pass * job.rules.durable_every if job.checkpoint_store else 0),
        checkpoint_store=absolute(job.checkpoint_store),
        **_ends(job),
        **pace(job.store, job.workers),
        trace=job.trace,
        case_file=own_code(file) if cases.has_own_classes((network, optimizer, augment)) else None,
    )
    return dataset, spec


def _with_usual_schedule(job: Job, case: Case) -> Job:
    """The job with the case's schedule, where it chooses neither one nor a rate."""
    is_chosen = job.schedule is not None or job.learning_rate is not None or case.schedule is None
    return job if is_chosen else replace(job, schedule=case.schedule)


def _ends(job: Job) -> dict[str, Any]:
    """What ends a run before its last round."""
    return {
        "target_accuracy": job.target_accuracy,
        "max_attempts": job.max_attempts,
        "max_s": job.max_minutes * 60 if job.max_minutes is not None else None,
        "budget_usd": job.budget_usd,
    }


def own_code(file: CaseFile | None) -> OwnCode | None:
    """What a specification says of a case file."""
    return OwnCode(file.name, file.sha256) if file is not None else None


def pace(store: str, workers: int) -> dict[str, Any]:
    """How a run keeps time, by where its store is: fields of its specification."""
    found = {
        "lease_ttl_s": max(60.0, 2.0 * workers),  # many workers take turns in a process, and beat as seldom
        "straggler_timeout_s": max(30.0, 1.0 * workers),
    }
    if is_near(store):  # a look at a file costs microseconds, and waiting for the next one, images
        return {**found, "max_poll_s": 0.03, "beat_s": min(10.0, max(1.0, 0.1 * workers))}
    return {**found, "max_poll_s": 2.0}


def data_store(job: Job) -> str | None:
    """Where the shards go, if not to the run's own store: as asked, or where they outlast a memcached."""
    if job.data_store is not None:
        return job.data_store
    forgets = job.store.startswith("memcached://")
    return job.checkpoint_store if forgets else None


def _scaling(job: Job, case: Case) -> Scaling | None:
    """What several workers do otherwise than one."""
    if job.scale == "none" or job.workers <= 1:
        return None
    return scaling.of(job.workers, case.batch_size, job.rules.name, is_cheap(job.store), job.batch_size)


def is_cheap(store: str) -> bool:
    """Whether a request to a store costs neither money nor much time."""
    return is_near(store) or store.startswith("memcached://")


def _steps_per_round(job: Job, case: Case, scaled: Scaling | None, per_epoch: int) -> int | None:
    """As given; or, where nobody has said how many rounds there are to be, as the number of workers asks for, and so
    many that a small dataset has no more rounds than are worth it."""
    if job.steps_per_round is not None or job.rounds is not None:
        return job.steps_per_round
    steps = scaled.steps_per_round if scaled is not None else None
    if steps is not None and steps < per_epoch:
        return steps
    epochs = min(case.epochs_per_round, job.epochs if job.epochs is not None else case.num_rounds)
    return epochs * per_epoch if epochs > 1 else None


def _together(job: Job, scaled: Scaling | None, num_rounds: int) -> dict[str, Any]:
    """How workers work together: the options of the protocol."""
    found = {name: getattr(job, name) for name in job.rules.option_names()}
    if scaled is not None and "slow_momentum" in found and job.slow_momentum is None:
        found["slow_momentum"] = scaled.slow_momentum(num_rounds)
    return found


def _rounds_per_pass(job: Job, steps_per_round: int | None, per_epoch: int) -> int:
    """How many rounds are a pass over the data, where nobody has said how long a round is to be; else 1."""
    return max(1, round(per_epoch / steps_per_round)) if steps_per_round and job.steps_per_round is None else 1


def _eval_every(job: Job, per_pass: int) -> int:
    """Rounds, `per_pass` of which are a pass over the data."""
    if job.eval_every is not None:
        return job.eval_every
    return job.rules.default_eval_every(per_pass, job.target_accuracy is not None)


def _augment(job: Job, case: Case, dataset: Dataset) -> Augment | None:
    augment = job.augment if job.augment is not None else case.augment
    if augment is None or augment == Augment():
        return None
    if len(dataset.input_shape) != 3:
        raise UsageError(f"augment is for images, and {dataset.name} has rows of {dataset.input_shape}: leave it out")
    return augment


def _num_rounds(job: Job, case: Case, per_epoch: int, steps_per_round: int | None) -> int:
    """Rounds as given; or as many as make up the epochs; or the case's."""
    if job.rounds is not None:
        return job.rounds
    epochs = job.epochs if job.epochs is not None else case.num_rounds
    if steps_per_round is None:
        return epochs
    return -(-epochs * per_epoch // max(1, steps_per_round))


def _scheduled(job: Job, optimizer: nn.Optimizer, num_steps: int, scaled: Scaling | None) -> nn.Optimizer:
    """The optimizer with the job's schedule: cosine falls to nothing over a worker's steps, along half a cosine."""
    start, is_given = optimizer.learning_rate, job.learning_rate is not None
    if job.schedule is not None and isinstance(start, nn.Schedule):
        raise UsageError("schedule: the case's optimizer has one of its own; leave it out, or give a learning rate")
    if scaled is not None and not (is_given and job.schedule):
        return scaled.scheduled(optimizer, num_steps, is_given, job.schedule == "constant")
    if job.schedule != "cosine" or isinstance(start, nn.Schedule):
        return optimizer
    return optimizer.with_learning_rate(nn.Cosine(start, max(1, num_steps)))
