# Gitward: the master, simulated nodes, and a host's agent (docs/howto/agent-in-a-container.md has the options that it
# needs). Any Debian or Ubuntu base with Python 3.11 will do:
#   docker build --tag gitward .
#   docker run --publish 6443:6443 --volume gitward:/var/lib/gitward gitward up --node simulated:3 --listen 0.0.0.0:6443 --repo URL
# Without a network hand in a base that has the packages below, and a folder of wheels inside the context:
#   docker build --build-arg BASE=… --build-arg PIP_OPTIONS="--no-index --find-links=/src/wheels" .
# For kustomizations and Helm charts put kubectl and helm on PATH or into /var/lib/gitward/bin of the volume.
ARG BASE=debian:12-slim
FROM ${BASE}
ARG PIP_OPTIONS=""
RUN { git --version && haproxy -v && iptables -V && conntrack -V; } >/dev/null 2>&1 && python3 -c 'import ensurepip' 2>/dev/null \
 || { apt-get update -qq && apt-get install -y -qq --no-install-recommends ca-certificates git openssh-client python3-venv \
        conntrack haproxy iptables \
      && rm -rf /var/lib/apt/lists/*; }
COPY . /src
RUN python3 -m venv /opt/gitward \
 && /opt/gitward/bin/pip install --quiet --no-cache-dir --disable-pip-version-check ${PIP_OPTIONS} /src \
 && rm -rf /src
ENV PATH=/opt/gitward/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    GITWARD_DATA_DIR=/var/lib/gitward
VOLUME /var/lib/gitward
EXPOSE 6443 8180
STOPSIGNAL SIGTERM
ENTRYPOINT ["gitward"]
CMD ["up", "--node", "none", "--listen", "0.0.0.0:6443"]
