# How the demo talks: it says what it is about to show, shows it, and makes every claim by checking it.

if [[ -t 1 ]]; then
  bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
else
  bold='' dim='' green='' red='' plain=''
fi
claims=0  # made and true
declare work  # set by pods_begin

title() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }

# Prose from standard input, a blank line before it.
say() {
  echo
  cat
}

# Prints standard input as what the machine answered.
quote() { sed -e "s/^/    $dim/" -e "s/\$/$plain/"; }

# Runs a command of ours and shows both, the command as a person would type it.
show() { # TYPED COMMAND...
  echo
  echo "  \$ $1"
  "${@:2}" 2>&1 | quote
}

# A claim: the sentence stands in the output only if the command succeeds.
claim() { # SENTENCE COMMAND...
  if "${@:2}" >"$work/claim" 2>&1; then
    echo "  $green✓$plain $1"
    claims=$((claims + 1))
  else
    echo "  $red✗ not true: $1$plain"
    echo "    checked by: ${*:2}"
    quote <"$work/claim"
    exit 1
  fi
}
