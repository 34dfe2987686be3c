"""Hostile input: what is tried, and whether anything crashes or hangs on it."""

from tests.chaos.stage import Finding, Stage
from tests.mutation.run import COUNT, SEED, run


def mutations(stage: Stage) -> Finding:
    """Tries frames, headers, label maps, configs and graphs that were tampered with."""
    report = run(stage.length(COUNT, 1_000), SEED, failed=stage.directory / "failed")
    return Finding(
        f"mutated frames, headers, label maps, configs and model folders, seed {SEED}",
        None,
        {
            "inputs tried": report.tried,
            "accepted": sum(target.accepted for target in report.targets),
            "crashes": report.crashes,
            "hangs": report.hangs,
        },
        [str(failure) for failure in report.failures],
    )
