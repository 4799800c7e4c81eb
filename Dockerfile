# docker build -t ugradsl . && docker run --rm -p 8000:8000 ugradsl
# builds the book inside and serves it at http://localhost:8000.
FROM python:3.11-slim

RUN apt-get update \
    && apt-get install --yes --no-install-recommends git make \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home reader \
    && install --directory --owner=reader /home/reader/companion

USER reader
WORKDIR /home/reader/companion
COPY --chown=reader . .

# CPU wheels; an empty value takes PyPI's, with CUDA.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN PIP_NO_CACHE_DIR=1 make setup

EXPOSE 8000
CMD ["sh", "-c", "make book && exec .venv/bin/python -m http.server --directory _build/html 8000"]
