# Fine-tune: model × target × seed. On one machine evaluation does it, target by target.


rule fine_tune:
    input:
        job_inputs("fine_tune"),
    output:
        temp(touch("{root}/.{study}/fine_tune/{name}")),
    params:
        command=job_command("fine_tune"),
        subject=lambda wildcards: job_of(wildcards, "fine_tune").subject,
    threads: asked("fine_tune", "threads")
    resources:
        mem_mb=asked("fine_tune", "mem_mb"),
        runtime=asked("fine_tune", "runtime"),
        gpu=asked("fine_tune", "gpu"),
    message:
        "study {wildcards.study}: fine-tune on {params.subject}"
    shell:
        "OMP_NUM_THREADS={threads} {params.command}"
