# What the drills of this folder share; sourced by them.

export TRM_JAVA_OPTS="-Xmx512m -XX:TieredStopAtLevel=1"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_btl_vader_single_copy_mechanism=none

# need TOOL...  ends the drill, as skipped, where a program is missing or the user is not root
need() {
    local tool
    for tool in "$@"; do
        if ! command -v "$tool" >/dev/null; then
            echo "skipped: no $tool"
            exit 0
        fi
    done
    if [ "$(id -u)" != 0 ]; then
        echo "skipped: needs root"
        exit 0
    fi
}

# await SECONDS COMMAND...  until the command succeeds
await() {
    local seconds=$1
    shift
    for _ in $(seq "$seconds"); do
        "$@" && return 0
        sleep 1
    done
    echo "waited $seconds s for: $*" >&2
    return 1
}

# mini FOLDER PUZZLES  makes 4 x 4 Sudoku
mini() {
    ./trm data sudoku-mini --side 4 --train-size "$2" --test-size 100 --out "$1" >"$1.out" 2>&1
}

# at_step RUN STEP  whether the run has come so far
at_step() {
    [ -f "$1/metrics.csv" ] && [ "$(tail -n 1 "$1/metrics.csv" | cut -d, -f1 | tr -dc 0-9)" -ge "$2" ] 2>/dev/null
}

# ends_as RUN RUN STEP  the checkpoint of the last step and the metrics are the same, but for the columns of the clock, the last two
ends_as() {
    local checkpoint
    checkpoint=checkpoints/step-$(printf %08d "$3").safetensors
    cmp "$1/$checkpoint" "$2/$checkpoint"
    cmp <(sed 's/,[^,]*,[^,]*$//' "$1/metrics.csv") <(sed 's/,[^,]*,[^,]*$//' "$2/metrics.csv")
}
