#!/usr/bin/env bash
# deploy/slurm/train.sh CONFIG.yaml RUN [key=value ...]   one training as the steps of a Slurm job; the job files beside it call it
#
# Begins the run in folder RUN, or continues it. Before its time is over, and when it is preempted, all ranks write one checkpoint;
# the job then puts itself into the queue again, until the run is finished. What goes wrong for good (exit codes 1 to 127) ends it.
#
# Environment: TRM (command; default ./trm), TRM_MPI (srun's --mpi; default none, which is for GPUs: NCCL connects them; pmix for
# ranks on CPUs), TRM_SRUN_OPTIONS (more options of srun), TRM_DONE (file that a finished run has; default RUN/DONE),
# TRM_MOST_RESTARTS (default 1000).
set -euo pipefail

config=$1
run=$2
shift 2
trm=${TRM:-./trm}
read -r -a options <<<"${TRM_SRUN_OPTIONS:-}"

# Slurm's signal, sent to the shell alone (--signal=B:USR1@...), goes on to the ranks, which stop at the same step.
step=
trap '[ -z "$step" ] || scancel --signal=USR1 "$SLURM_JOB_ID"' USR1

srun --mpi="${TRM_MPI:-none}" --kill-on-bad-exit=1 "${options[@]}" \
    "$trm" train "$config" "$@" --run "$run" --resume auto &
step=$!
code=0
wait "$step" || code=$?
while kill -0 "$step" 2>/dev/null; do         # a signal ended the wait, not the ranks
    code=0
    wait "$step" || code=$?
done

if [ "$code" = 0 ] && [ -f "${TRM_DONE:-$run/DONE}" ]; then
    echo "finished: $run"
elif { [ "$code" -ge 128 ] || [ "$code" = 0 ]; } && [ "${SLURM_RESTART_COUNT:-0}" -lt "${TRM_MOST_RESTARTS:-1000}" ]; then
    # Stopped by a signal, checkpoint written; or killed, or a rank or GPU was lost: the last checkpoint stands. srun ends with 0, too,
    # where it cannot start the ranks, or a signal comes as it does.
    echo "stopped with $code; in the queue again"
    scontrol requeue "$SLURM_JOB_ID"
else
    echo "failed with $code" >&2
    exit "$code"
fi
