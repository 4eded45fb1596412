# Evaluate: model × target.


rule evaluate:
    input:
        job_inputs("evaluate"),
    output:
        temp(touch("{root}/.{study}/evaluate/{name}")),
    params:
        command=job_command("evaluate"),
        subject=lambda wildcards: job_of(wildcards, "evaluate").subject,
    threads: asked("evaluate", "threads")
    resources:
        mem_mb=asked("evaluate", "mem_mb"),
        runtime=asked("evaluate", "runtime"),
        gpu=asked("evaluate", "gpu"),
    message:
        "study {wildcards.study}: run and score {params.subject}"
    shell:
        "OMP_NUM_THREADS={threads} {params.command}"
