# Agree: what the records of a whole study say together; of a study whose targets no rule knows, everything.


def agree_inputs(wildcards):
    """The jobs of a study, its members, its settings, and the package without how it draws, for that changes no result."""
    own = [f"{wildcards.root}/.{wildcards.study}/{name}" for name in study_jobs(wildcards)]
    own += [f"{wildcards.root}/.{name}.done" for name in book.members(wildcards.study, CONFIGS)]
    return [*own, study_file(wildcards), *(file for file in PACKAGE if file not in LOOKS)]


def agree_command(wildcards, resources):
    step = None if book.takes_a_folder(wildcards.study, CONFIGS) else "agree"
    return study_command(wildcards, step, resources=resources)


rule agree:
    input:
        agree_inputs,
    output:
        touch("{root}/.{study}.done"),
    params:
        command=agree_command,
    threads: asked("agree", "threads")
    resources:
        mem_mb=asked("agree", "mem_mb"),
        runtime=asked("agree", "runtime"),
        gpu=asked("agree", "gpu"),
    message:
        "study {wildcards.study}: agreement"
    shell:
        "OMP_NUM_THREADS={threads} {params.command}"
