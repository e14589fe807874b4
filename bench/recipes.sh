#!/usr/bin/env bash
# bench/recipes.sh [RUNS]   brings the reports of `trm reproduce recipes` and `recipes-mixed` at scale tiny into the documentation
#
# RUNS (default runs) has the folders recipes-tiny and recipes-mixed-tiny. Of each that has a report, report.md, .csv and .svg become
# STUDY.md, .csv and .svg in docs/measurements, and the table and the curves replace what docs/recipes.md has between its marks. A study
# without a report is left as it is.
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${1:-runs}
page=docs/recipes.md
found=0
for study in recipes recipes-mixed; do
    from=$runs/$study-tiny
    [ -f "$from/report.md" ] || continue
    found=1
    sed "s/(report\.svg)/($study.svg)/" "$from/report.md" > "docs/measurements/$study.md"
    cp "$from/report.csv" "docs/measurements/$study.csv"
    cp "$from/report.svg" "docs/measurements/$study.svg"
    awk -v study="$study" -v report="$from/report.md" '
        $0 == "<!-- " study " -->" {
            print
            while ((getline line < report) > 0) {
                if (line ~ /^## /) break
                if (line ~ /^# /) continue
                gsub(/\(report\.svg\)/, "(measurements/" study ".svg)", line)
                text = text line "\n"
            }
            gsub(/^\n+|\n+$/, "", text)
            print text "\n\nEvery run: [measurements/" study ".md](measurements/" study ".md); every evaluation: [.csv](measurements/" study ".csv)."
            inside = 1
        }
        $0 == "<!-- /" study " -->" { inside = 0 }
        !inside { print }' "$page" > "$page.partial"
    mv "$page.partial" "$page"
    echo "$page, docs/measurements/$study.{md,csv,svg}: from $from"
done
[ "$found" = 1 ] || { echo "bench/recipes.sh: $runs: found neither recipes-tiny/report.md nor recipes-mixed-tiny/report.md" >&2; exit 1; }
