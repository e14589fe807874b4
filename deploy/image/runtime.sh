#!/usr/bin/env bash
# What an image needs besides the program: a JRE, Open MPI and a way for mpirun to other machines, and tini, so that signals arrive
# and no zombie stays.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -y -q --no-install-recommends openjdk-17-jre-headless openmpi-bin openssh-client openssh-server tini
rm -rf /var/lib/apt/lists/*

# User 10001, whom an MPI operator gives its keys in ~/.ssh (deploy/kubernetes/mpijob.yaml): a server of its own at port 2222.
groupadd --gid 10001 trm
useradd --uid 10001 --gid 10001 --create-home trm
cat >/home/trm/.sshd_config <<'EOF'
Port 2222
PidFile /tmp/sshd.pid
HostKey /home/trm/.ssh/id_rsa
StrictModes no
UsePAM no
EOF
cat >>/etc/ssh/ssh_config <<'EOF'
Host *
    Port 2222
    StrictHostKeyChecking no
    UserKnownHostsFile /dev/null
    LogLevel ERROR
EOF
