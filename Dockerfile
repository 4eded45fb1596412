# The book and its tests in a container; CPU only. `docker build -t tte .`, then `docker run --rm tte make test`.
FROM python:3.11-slim-bookworm

RUN apt-get update \
 && apt-get install -y --no-install-recommends chromium git make munge slurm-wlm \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /tte
COPY . .
RUN make lint PYTHON=python3.11

CMD ["make", "book"]
