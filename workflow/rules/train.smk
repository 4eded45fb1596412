# Train: source × architecture × seed.


rule train:
    input:
        job_inputs("train"),
    output:
        temp(touch("{root}/.{study}/train/{name}")),
    params:
        command=job_command("train"),
        subject=lambda wildcards: job_of(wildcards, "train").subject,
    threads: asked("train", "threads")
    resources:
        mem_mb=asked("train", "mem_mb"),
        runtime=asked("train", "runtime"),
        gpu=asked("train", "gpu"),
    message:
        "study {wildcards.study}: train {params.subject}"
    shell:
        "OMP_NUM_THREADS={threads} {params.command}"
