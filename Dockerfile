# A server of recsys: small, without a training framework, not as root.
#
#   docker build -t recsys .
#   docker run --read-only --tmpfs /tmp -v "$PWD/shop:/project" -p 8000:8000 recsys
#
# Keys first: `recsys keys create`, or it does not start. With the packages of a GPU, or with extras:
#
#   docker build --build-arg REQUIREMENTS=requirements/gpu.txt -t recsys:gpu .
#   docker build --build-arg EXTRAS=redis,otel -t recsys .

FROM python:3.11-slim AS build
ARG REQUIREMENTS=requirements/serve.txt
ARG EXTRAS=redis
WORKDIR /build
RUN python -m venv /opt/recsys
# These change seldom: the layer is kept when only the code changes.
COPY requirements.txt ./
COPY requirements/ requirements/
RUN /opt/recsys/bin/pip install --no-cache-dir -r "$REQUIREMENTS"
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY recsys/ recsys/
COPY features/ features/
COPY serving/ serving/
COPY training/ training/
# requirements.txt pins the extras too.
RUN /opt/recsys/bin/pip install --no-cache-dir -c requirements.txt "/build${EXTRAS:+[$EXTRAS]}"

FROM python:3.11-slim
# LightGBM needs it.
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/recsys /opt/recsys
# Nothing is written but into /project and /tmp, so that the root file system may be read-only.
ENV PATH=/opt/recsys/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
WORKDIR /project
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/livez', timeout=2)"]
ENTRYPOINT ["recsys"]
CMD ["serve", "--config", "/project/recsys.toml", "--host", "0.0.0.0", "--port", "8000"]
