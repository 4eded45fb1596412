# A page: a notebook run with the parameters of its study and target.


rule page:
    input:
        page_inputs,
        package=PACKAGE_SUM,
        runner=RUNNER,
        library="workflow/notebook_pages.py",
    output:
        "book/pages/{page}.ipynb",
    params:
        source=lambda wildcards: f"notebooks/{page_of(wildcards).source}.py",
        values=lambda wildcards: page_parameters(page_of(wildcards)),
    threads: 1
    shell:
        "OMP_NUM_THREADS={threads} {WARM} {input.runner} {params.source} {output} {params.values} --no-progress"
