#!/bin/sh
# Called by `make study-gpu`, which documents the variables: trains the paper's grid on MNIST and one
# model of sprites with the machine's own Python, and bundles candidates. Run it again to resume.
set -eu

: "${OUT:?}" "${PYTHON:?}"
mkdir -p "$OUT"
if [ -n "${WHEELS:-}" ]; then
  # Wheels of pure Python are archives of what is imported: this needs neither pip nor an index.
  for wheel in "$WHEELS"/*.whl; do "$PYTHON" -m zipfile -e "$wheel" "$OUT/.wheels"; done
fi
[ -d "$OUT/.wheels" ] && PYTHONPATH="$OUT/.wheels${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONPATH="$PWD:$PWD/cli:$PWD/reference_models${PYTHONPATH:+:$PYTHONPATH}"

began=$(date +%s)
dindic() { "$PYTHON" -m dindic "$@"; }
limit() { # what is left of MINUTES, shared by all steps
  [ -z "${MINUTES:-}" ] || awk "BEGIN { left = $MINUTES - ($(date +%s) - $began) / 60
    print \"--max-minutes\", (left > 0.01 ? left : 0.01) }"
}

status=0
# shellcheck disable=SC2046 # words, not one argument
dindic study mnist ${DATA:+--data "$DATA"} -o "$OUT" --device "${DEVICE:-auto}" --epochs "${EPOCHS:-200}" \
  ${ONLY:+--only "$ONLY"} --max-mb "${MB:-16}" $(limit) || status=$?
case $status in 0 | 1) ;; *) exit $status ;; esac # 1: a run diverged, and the others are there

sprites="$OUT/sprites_beta4"
if [ -f "$sprites/config.json" ]; then
  dindic train --resume "$sprites" --device "${DEVICE:-auto}" --epochs "${SPRITES_EPOCHS:-30}" $(limit)
else
  # shellcheck disable=SC2086
  dindic train ${SPRITES:-sprites} --beta 4 -o "$sprites" --device "${DEVICE:-auto}" \
    --epochs "${SPRITES_EPOCHS:-30}" $(limit)
fi

for pair in learned_beta_0.5:beta0.5 learned_beta_1:beta1 learned_beta_10:beta10 \
  fixed_sigma2_0.11:sigma2_0.11; do
  run="$OUT/models/${pair%%:*}"
  [ ! -f "$run/model.safetensors" ] || dindic bundle "$run" "${pair##*:}" -o "$OUT/candidates" || status=$?
done
dindic bundle "$sprites" sprites_beta4 -o "$OUT/candidates" || status=$?
exit $status
