# The server on a CPU. Build it from the repository, and give it a model folder that has been exported:
#   docker build -t distilhubert-ko .
#   docker run --rm -p 127.0.0.1:8000:8000 -v "$PWD/demo:/model:ro" distilhubert-ko
# The base is fixed by its digest. To renew it: docker buildx imagetools inspect python:3.12-slim
FROM python:3.12-slim@sha256:78387bc3881b8273120a12ebe6c1ab22b018ccc2c9adf565ae1ac9b536e184ea

WORKDIR /build
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY recipes recipes
COPY src src
RUN pip install --no-cache-dir --constraint constraints.txt ".[serve,media,lm]" \
    && rm -rf /build/* \
    && useradd --create-home --uid 10001 listener

USER 10001
WORKDIR /home/listener
EXPOSE 8000
HEALTHCHECK CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=3)"]
ENTRYPOINT ["distilhubert-ko", "serve", "--model", "/model", "--host", "0.0.0.0"]
