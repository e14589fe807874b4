#!/usr/bin/env bash
# tests/cluster/slurm.sh   the job files of deploy/slurm under a real Slurm of one node, which this script starts and ends
#
# Two ranks on CPUs, connected by MPI (pmix): a job that runs through; one that `scontrol requeue` throws back in the midst of it; one whose
# time is over again and again, so that `--signal` stops it. All three must end, by themselves, in the same bytes. Then an array of two
# shares the rows of a table. Needs root, and Debian's slurm-wlm, munge, openmpi-bin; .ci/run installs them.
set -euo pipefail

root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/cluster/common.bash
. "$root/tests/cluster/common.bash"
need slurmctld slurmd munged sbatch mpirun

work=$(mktemp -d)
chmod 755 "$work"
ended() {
    local code=$?
    [ $code = 0 ] || tail -n 50 "$work"/*.log "$work"/*.out 2>/dev/null || true
    local daemon
    for daemon in slurmd. slurmctld. munge/; do
        pkill -F "$work/${daemon}pid" 2>/dev/null || true
    done
    sleep 2
    for daemon in slurmd. slurmctld. munge/; do
        pkill -9 -F "$work/${daemon}pid" 2>/dev/null || true
    done
    rm -rf "$work"
    exit $code
}
trap ended EXIT
trap 'exit 143' TERM

# ---- Slurm ------------------------------------------------------------------------------------------------------------

mkdir -p "$work/munge" "$work/state" "$work/spool"
chown -R munge: "$work/munge"
chmod 711 "$work/munge"
key=$work/munge/key
dd if=/dev/urandom of="$key" bs=1024 count=1 status=none
chown munge: "$key"
chmod 400 "$key"
su -s /bin/sh munge -c "munged --force --foreground --key-file=$key --socket=$work/munge/socket --pid-file=$work/munge/pid \
    --log-file=$work/munge/log --seed-file=$work/munge/seed" >"$work/munged.out" 2>&1 </dev/null &
host=$(hostname -s)
processors=$(slurmd -C | grep -o 'CPUs=.*ThreadsPerCore=[0-9]*')
memory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
cat >"$work/slurm.conf" <<EOF
ClusterName=drill
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$work/munge/socket
CryptoType=crypto/munge
SlurmctldPort=26817
SlurmdPort=26818
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmdSpoolDir=$work/spool
StateSaveLocation=$work/state
SlurmctldLogFile=$work/slurmctld.out
SlurmdLogFile=$work/slurmd.out
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
KillWait=30
MinJobAge=3600
GresTypes=gpu
NodeName=$host NodeAddr=127.0.0.1 $processors RealMemory=$memory Gres=gpu:2 State=UNKNOWN
PartitionName=drill Nodes=ALL Default=YES MaxTime=INFINITE OverSubscribe=FORCE:4 State=UP
EOF
printf 'Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n' >"$work/gres.conf" # the job files ask for GPUs
export SLURM_CONF=$work/slurm.conf
slurmctld -f "$SLURM_CONF" >"$work/ctld.out" 2>&1 </dev/null
slurmd -f "$SLURM_CONF" >>"$work/slurmd.out" 2>&1 </dev/null
is_idle() { sinfo -h -o %t 2>/dev/null | grep -q idle; }
if ! await 60 is_idle; then
    tail -n 20 "$work"/*.out
    echo "skipped: Slurm does not come up on this machine"
    exit 0
fi

# ---- jobs -------------------------------------------------------------------------------------------------------------

cd "$root"
mini "$work/mini" 3000
steps=1500
settings=(configs/cpu/mini-mlp.yaml)
changes=("data_paths=[$work/mini]" global_batch_size=32 epochs=16 "max_steps=$steps" log_every_steps=10
    checkpoint_every_steps=50 threads=1 check_every_steps=100)

job() { # job NAME SBATCH_OPTION...  prints the number of the job
    local name=$1
    shift
    sbatch --parsable --ntasks=2 --cpus-per-task=1 --output="$work/$name-%j.log" "$@" deploy/slurm/cpu.sbatch \
        "${settings[@]}" "$work/$name" "${changes[@]}"
}

finished() { # finished RUN JOB: also helps Slurm along, which lets a job that was thrown back wait two minutes
    local state
    state=$(scontrol show job "$2" 2>/dev/null | grep -o "JobState=[A-Z]*" || true)
    [ ! -f "$1/DONE" ] || return 0
    case $state in
        JobState=FAILED | JobState=COMPLETED | JobState=TIMEOUT | JobState=CANCELLED)
            echo "job $2 ended: $state, the run has not" >&2
            exit 1
            ;;
    esac
    if [ "$state" = JobState=PENDING ]; then
        sleep 10                              # Slurm's own cleaning up after the step before takes a while
        scontrol update JobId="$2" StartTime=now 2>/dev/null || true
    fi
    return 1
}

number=$(job straight --time=30)
await 600 finished "$work/straight" "$number"
grep -q "2 ranks" "$work/straight/log.txt"
echo "straight: finished"

number=$(job requeued --time=30)
await 300 at_step "$work/requeued" 200
scontrol requeue "$number"
await 600 finished "$work/requeued" "$number"
grep -q "resuming " "$work/requeued/log.txt"
ends_as "$work/straight" "$work/requeued" $steps
echo "requeued: finished with the bytes of the run that was not"

number=$(job signalled --time=1 --signal=B:USR1@50)
await 900 finished "$work/signalled" "$number"
grep -q "stopped at step " "$work/signalled/log.txt"
ends_as "$work/straight" "$work/signalled" $steps
echo "signalled $(grep -c "stopped at step " "$work/signalled/log.txt") times: finished with the bytes of the run that was not"

number=$(sbatch --parsable --array=0-1 --cpus-per-task=1 --mem=0 --output="$work/array-%a.log" deploy/slurm/array.sbatch \
    sudoku-ablation --scale tiny --only t2-n2,hrm --out "$work/array")
array_done() { [ "$(squeue -h -j "$number" 2>/dev/null | wc -l)" = 0 ]; }
await 900 array_done
[ "$(find "$work/array" -name DONE | wc -l)" = 2 ]
grep -q "(1 of 1)" "$work/array-0.log" "$work/array-1.log"
echo "array: two jobs, a row each, one report: $(head -n 1 "$work/array/report.md")"

number=$(sbatch --parsable --array=0-1 --cpus-per-task=1 --mem=0 --output="$work/sweep-%a.log" deploy/slurm/array.sbatch \
    sweep configs/cpu/mini-mlp.yaml lr=1e-3,3e-3 seed=0..1 max_steps=40 "data_paths=['$work/array/mini-sudoku']" --out "$work/sweep")
await 900 array_done
[ "$(find "$work/sweep" -name DONE | wc -l)" = 4 ]
grep -q "4 of 4 runs are finished" "$work/sweep/report.md"
echo "sweep: two jobs, two runs each: $(head -n 1 "$work/sweep/report.md")"
