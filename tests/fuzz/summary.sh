#!/bin/sh
# summary.sh <name> <log>: one line of what libFuzzer says of its run: inputs, edges and features reached, and how many inputs
# it keeps because each reached something new.
set -eu
name=$1 log=$2
inputs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
reached=$(sed -n 's/^#[0-9]*.*cov: \([0-9]*\) ft: \([0-9]*\) corp: \([0-9]*\).*/\1 edges, \2 features, \3 kept/p' "$log" | tail -n 1)
printf 'fuzz: %-14s %10s inputs, %s\n' "$name" "${inputs:-?}" "${reached:-?}"
