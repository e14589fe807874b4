#!/usr/bin/env bash
# tests/cluster/storage.sh   a run whose disk is full, whose folder of checkpoints can only be read, whose folder is gone; and checkpoints
# that are cut, changed or empty
#
# What fails comes to a run that trains, and goes away again: it trains on, says so, and ends in the bytes of a run that had nothing. Needs
# root, to mount.
set -euo pipefail

root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/cluster/common.bash
. "$root/tests/cluster/common.bash"
need mount umount

work=$(mktemp -d)
training=
ended() {
    local code=$?
    [ -z "$training" ] || kill "$training" 2>/dev/null || true
    umount -l "$work/locked/checkpoints" "$work/disk" 2>/dev/null || true
    [ $code = 0 ] || tail -n 20 "$work"/*.out
    rm -rf "$work"
    exit $code
}
trap ended EXIT
mkdir "$work/disk"
if ! mount -t tmpfs -o size=64m tmpfs "$work/disk" 2>"$work/why"; then
    echo "skipped: nothing can be mounted here: $(cat "$work/why")"
    exit 0
fi

cd "$root"
mini "$work/mini" 3000
steps=1500
train() { # train RUN  in the background
    ./trm train configs/cpu/mini-mlp.yaml "data_paths=[$work/mini]" global_batch_size=32 epochs=16 max_steps=$steps log_every_steps=10 \
        checkpoint_every_steps=50 threads=1 --device cpu --run "$1" --resume auto >>"$work/$(basename "$1").out" 2>&1 &
    training=$!
}
goes_on() { # goes_on NAME TEXT  the run said so, and came to its end, which is the straight run's
    wait "$training"
    training=
    grep -q "$2" "$work/$1.out"
    grep -q "training goes on" "$work/$1.out"
    [ -f "$3/DONE" ]
    ends_as "$work/straight" "$3" $steps
    echo "$1: $(grep -c "training goes on" "$work/$1.out") checkpoints failed; the end is that of the run without"
}
failing() { # failing RUN
    grep -q "training goes on" "$1.out"
}

train "$work/straight"
wait "$training"

train "$work/disk/full"
await 120 at_step "$work/disk/full" 100
head -c 100M /dev/zero >"$work/disk/filler" 2>/dev/null || true
await 120 failing "$work/full"
rm "$work/disk/filler"
goes_on full "No space left" "$work/disk/full"

train "$work/locked"
await 120 at_step "$work/locked" 100
mount --bind "$work/locked/checkpoints" "$work/locked/checkpoints"
mount -o remount,bind,ro "$work/locked/checkpoints"
await 120 failing "$work/locked"
umount -l "$work/locked/checkpoints"
goes_on locked "Read-only file system" "$work/locked"

train "$work/gone"
await 120 at_step "$work/gone" 100
mv "$work/gone" "$work/elsewhere"
await 120 failing "$work/gone"
mv "$work/elsewhere" "$work/gone"
goes_on gone "gone" "$work/gone"

for damage in cut changed empty; do
    cp -r "$work/straight" "$work/$damage"
    rm "$work/$damage/DONE"
    newest=$(find "$work/$damage/checkpoints" -name 'step-*.safetensors' | sort | tail -n 1)
    case $damage in
        cut) truncate -s -1000 "$newest" ;;
        changed) printf 'x' | dd of="$newest" bs=1 seek=50000 conv=notrunc status=none ;;
        empty) : >"$newest" ;;
    esac
    train "$work/$damage"
    wait "$training"
    training=
    grep -q "$(basename "$newest")" "$work/$damage.out"
    ends_as "$work/straight" "$work/$damage" $steps
    echo "$damage: the newest checkpoint was passed over; the end is that of the run without"
done
