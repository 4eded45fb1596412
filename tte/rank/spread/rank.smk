# The workers of one ranking as jobs. Each claims a model and a chunk of the images, then the next, until none is left.

import sys

OUT, WORKERS, GPU = config["out"], int(config["workers"]), int(config["gpu"])


rule all:
    input:
        expand("jobs/{number}", number=range(WORKERS)),


rule rank:
    output:
        touch("jobs/{number}"),
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * 2 ** (attempt - 1),
        runtime=lambda wildcards, attempt: 240 * 2 ** (attempt - 1),
        gpu=GPU,
    shell:
        "OMP_NUM_THREADS={threads} {sys.executable} -m tte.cli rank worker {OUT:q}"
