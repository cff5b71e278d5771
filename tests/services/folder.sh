# shellcheck shell=bash
# A folder for what one run starts. Sourced, not run.

# make_run_folder PARENT NAME: makes PARENT/NAME.XXXXXX, held by a lock while this script or anything it started lives,
# and sets run_folder. The folder gets its final name when the lock is held, so nobody takes it for a left-over.
make_run_folder() {
  local parent=$1 name=$2 starting
  mkdir -p "$parent"
  starting=$(mktemp -d "$parent/starting.$name.XXXXXX") || return
  chmod 711 "$starting"
  exec {run_lock}>"$starting/lock"
  flock --nonblock "$run_lock" || return
  run_folder=$parent/$name.${starting##*.}
  mv "$starting" "$run_folder"
}

remove_run_folder() {
  [[ -n ${run_folder:-} ]] || return 0
  rm -rf "$run_folder"
  exec {run_lock}>&-
  run_folder=
}

# remove_left_overs PARENT NAME: the folders of runs that were killed before they could clean up.
remove_left_overs() {
  local folder
  for folder in "$1/$2".*/; do
    folder=${folder%/}
    [[ -O $folder && ! -L $folder && -f $folder/lock ]] || continue
    flock --nonblock "$folder/lock" rm -rf "$folder" || true
  done
}
