#!/usr/bin/env bash
# tests/cluster/hosts.sh   two ranks on each of two hosts, by mpirun with a host file
#
# The hosts are network namespaces of this machine, each with an address of its own and no way to anything but the other; mpirun reaches
# them by an agent that enters the namespace instead of ssh. Four ranks must end in the bytes of four ranks on one host. Needs root,
# iproute2 and openmpi-bin; .ci/run installs them.
set -euo pipefail

root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/cluster/common.bash
. "$root/tests/cluster/common.bash"
need ip mpirun

work=$(mktemp -d)
a=trm-a-$$
b=trm-b-$$
ended() {
    local code=$?
    ip netns delete $a 2>/dev/null || true
    ip netns delete $b 2>/dev/null || true
    rm -rf "$work"
    exit $code
}
trap ended EXIT
network() {
    ip netns add $a && ip netns add $b &&
        ip -n $a link add trm0 type veth peer name trm0 netns $b &&
        ip -n $a addr add 10.77.0.1/24 dev trm0 && ip -n $b addr add 10.77.0.2/24 dev trm0 &&
        ip -n $a link set lo up && ip -n $b link set lo up &&
        ip -n $a link set trm0 up && ip -n $b link set trm0 up
}
if ! network 2>"$work/why"; then
    echo "skipped: this machine makes no network namespaces: $(cat "$work/why")"
    exit 0
fi

# What mpirun calls in the place of ssh: AGENT ADDRESS COMMAND...
cat >"$work/agent" <<EOF
#!/usr/bin/env bash
case \$1 in
    10.77.0.1) host=$a ;;
    10.77.0.2) host=$b ;;
    *) echo "no host \$1" >&2; exit 1 ;;
esac
shift
exec ip netns exec \$host bash -c "\$*"
EOF
chmod +x "$work/agent"
printf '10.77.0.1 slots=2\n10.77.0.2 slots=2\n' >"$work/hosts"

cd "$root"
mini "$work/mini" 400
train=(./trm train configs/cpu/mini-mlp.yaml "data_paths=[$work/mini]" global_batch_size=32 epochs=8 max_steps=100
    log_every_steps=10 threads=1 check_every_steps=10 --device cpu)
mpirun --oversubscribe --bind-to none -np 4 "${train[@]}" --run "$work/one" >"$work/one.log" 2>&1 || { cat "$work/one.log"; exit 1; }
ip netns exec $a mpirun --hostfile "$work/hosts" --bind-to none -np 4 \
    --mca plm_rsh_agent "$work/agent" --mca btl self,tcp --mca btl_tcp_if_include trm0 --mca oob_tcp_if_include trm0 \
    -x OMPI_ALLOW_RUN_AS_ROOT -x OMPI_ALLOW_RUN_AS_ROOT_CONFIRM -x TRM_JAVA_OPTS -x PATH \
    "${train[@]}" --run "$work/two" >"$work/two.log" 2>&1 || { cat "$work/two.log"; exit 1; }
cmp "$work/one/checkpoints/step-00000100.safetensors" "$work/two/checkpoints/step-00000100.safetensors"
echo "two hosts, two ranks each: the bytes of four ranks on one host"
