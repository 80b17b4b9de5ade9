# shellcheck shell=bash
# Finds a Python on the runner that is new enough, and has it prepare our dependencies.
# Sourced by the step "Prepare Python" of action.yml, which hands it no input.
#
# The order: what PATH calls python3 or python, then what it calls by version, then the runner's
# tool cache. bootstrap.py judges the Python that runs it, so the usual case starts just one.

# Exit codes of bootstrap.py besides 0. It has said why; after `failed` no other Python would do
# better. Any other comes from a Python that cannot even start: one too old to know -I, the
# placeholder of the Windows store, a shim without a version behind it.
readonly unsuitable=4 failed=3

prepare() {
  local bootstrap="$GITHUB_ACTION_PATH/action/bootstrap.py"
  local minors=(14 13 12 11)
  local tools="${RUNNER_TOOL_CACHE:-}"
  # Git's bash on Windows takes a backslash in a pattern for an escape.
  [[ ${RUNNER_OS:-} == Windows ]] && tools="${tools//\\//}"

  local name directory minor python
  local directories
  IFS=: read -r -a directories <<<"$PATH"
  for name in python3 python "${minors[@]/#/python3.}"; do
    for directory in "${directories[@]}"; do
      # A relative or empty element of PATH means the workspace, whose files are not ours to run.
      [[ $directory == /* ]] && try "$directory/$name"
    done
  done
  if [[ -n $tools ]]; then
    for minor in "${minors[@]}"; do
      for python in "$tools"/Python/3."$minor".*/*/{bin/python3,python.exe}; do
        try "$python"
      done
    done
  fi

  echo "::error title=Chainloop SMTP found no Python to run on::It needs Python 3.11 or newer with" \
    "pip, on PATH or in the runner's tool cache; the lines above say what was found. Add a step" \
    "with actions/setup-python before this one."
  exit 1
}

# Ends the step unless this Python will not do.
try() {
  local status=0
  [[ -f $1 && -x $1 ]] || return 0
  # -S: the bootstrap itself needs no site-packages, and finding them can cost more than all of it.
  # Standard error has only what an unfit Python says of its start: the bootstrap writes none.
  "$1" -I -S -X utf8 "$bootstrap" 2>/dev/null || status=$?
  case $status in
    0) exit 0 ;;
    "$failed") exit 1 ;;
    "$unsuitable") ;;
    # Ended from outside: the job is cancelled.
    130 | 143) exit "$status" ;;
    *) echo "$1 cannot be started" ;;
  esac
}

prepare
