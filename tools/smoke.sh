#!/usr/bin/env bash
# A small flow through nearly every command, each behind a wrapper: tools/smoke.sh MIXQ FOLDER [WRAPPER...]. FOLDER is
# made anew. Every command runs though one before it failed; the end is a count, and 1 where one failed.
#   tools/smoke.sh build/mixq /tmp/smoke
#   tools/smoke.sh build/mixq /tmp/smoke valgrind --error-exitcode=9
set -uo pipefail
[ $# -ge 2 ] || {
    echo "usage: tools/smoke.sh MIXQ FOLDER [WRAPPER...]" >&2
    exit 2
}
mixq=$(realpath "$1") || exit 2
folder=$2
shift 2
wrapper=("$@")
rm -rf "$folder"
mkdir -p "$folder" && cd "$folder" || exit 2
export OMP_WAIT_POLICY=passive
good=0
bad=0

# run NAME EXPECTED-EXIT-CODE words of mixq
run() {
    local name=$1 expected=$2 start=$SECONDS status=0
    shift 2
    "${wrapper[@]}" "$mixq" "$@" --threads 1 --quiet >"$name.out" 2>"$name.err" </dev/null || status=$?
    if [ "$status" -eq "$expected" ]; then
        good=$((good + 1))
        printf 'ok      %3d s  mixq %s\n' $((SECONDS - start)) "$*"
    else
        bad=$((bad + 1))
        printf 'FAILED  %3d s  mixq %s: exit code %d, expected %d\n' $((SECONDS - start)) "$*" "$status" "$expected"
        head -n 60 "$name.err"
    fi
}

cat >tiny.yaml <<'END'
name: tiny
classes: 10
input: {channels: 3, height: 32, width: 32}
layers:
  - conv: {out: 8, kernel: 3}
  - batch_norm
  - max_pool: {kernel: 4}
  - conv: {out: 8, kernel: 3, padding: 1}
  - batch_norm
  - max_pool: {kernel: 2}
  - linear: {out: 10}
END
data="npy:images.npz"
of="--model tiny.yaml --data $data --batch 10 --epochs 1"

run help 0 help
run doctor 0 doctor
run models 0 models
run model 0 models tiny.yaml
run devices 0 devices
run cost 0 cost --model tiny.yaml --bitw 444 --bita 444
run export_data 0 data export fashion-mnist images.npz --limit 20
run info 0 data info $data
run scenes 0 data export shapes:4 scenes
run draw 0 data draw shapes:4 sheets --limit 2 --augment
run search 0 search $of --measure-gap --plot bits.svg --out search
run target 0 search $of --target-dsp-ops 0.06 --out target
run train 0 train $of --bits search --init search --out main
run again 0 train $of --bits search --init search --out main --resume
run float 0 train $of --float --optimizer adam --out float
run test 0 test main --data $data --compare
run test_float 0 test float --data $data
run pareto 0 pareto $of --methods uniform --uniform-bits 4 --out sweep --plot sweep.svg
run export 0 export main --out net --data $data --vectors 2 --format hls,qonnx
run plain 0 export float --out plain --format onnx
run import 0 import net/qonnx.onnx --out imported.safetensors
run verify 0 verify net
run proof 0 verify net --checkpoint main/best.safetensors
run simulate 0 simulate net --data $data --limit 2 --dump fast --output out.npy
run reference 0 simulate net --data $data --limit 2 --engine reference --dump slow
run packed 0 simulate net --data $data --limit 1 --level packed
run diff 0 diff fast slow
run estimate 0 estimate net --device ultra96v2 --target-fps 20000 --plan-out plan.json
run rtl 0 build net --device ultra96v2 --target rtl,hls --plan plan.json --out rtl
run c 0 build net --target c --out c
run report 0 report main search sweep net rtl --out page.html
run table 0 pack table
run show 0 pack show --kernel 3 --wbit 4 --abit 4 --svg packing.svg
run prove 0 pack verify --kernel 3 --wbit 4 --abit 4 --vectors 1000
# and what ends in a message
run unknown 2 exprot
run absent 3 verify absent
run damaged 3 simulate tiny.yaml --data $data
run no_data 3 test main --data npy:absent.npz

echo "$good passed, $bad failed"
[ "$bad" -eq 0 ]
