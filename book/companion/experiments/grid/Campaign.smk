"""The jobs of a campaign, the most valuable first; see ``ugradsl campaign --help``.

A job whose file in ``done`` is there is not started again, unless the plan has changed what it
computes. Records are published by the jobs themselves, one by one, so a job that was stopped goes
on where it was.
"""

import shlex
import sys
from pathlib import Path

from companion.experiments.campaign.campaign import jobs_of, marker, read_plan

STORE = Path(config["store"])
PLAN = read_plan(Path(config["plan"]))
JOBS = jobs_of(PLAN)


def command(job):
    words = [sys.executable, "-m", "companion", "campaign", config["plan"], "--only", job.name]
    words += ["--store", config["store"], "--publish", config["publish"]]
    words += ["--data-root", config["data_root"]] if config.get("data_root") else []
    return shlex.join(words)


rule all:
    input:
        [marker(job.name, STORE) for job in JOBS],


for job in JOBS:

    rule:
        name:
            "job_" + "".join(letter if letter.isalnum() else "_" for letter in job.name)
        input:
            [marker(name, STORE) for name in job.needs],
        output:
            marker(job.name, STORE),
        params:
            identity=job.identity,
            command=command(job),
        priority: job.priority
        threads: 1
        shell:
            "{params.command} && mkdir -p $(dirname {output}) && echo {params.identity} > {output}"
