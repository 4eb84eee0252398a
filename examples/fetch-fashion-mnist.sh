#!/usr/bin/env bash
# Fetches Fashion-MNIST (60,000 + 10,000 images, 30 MB) into examples/data/fashion-mnist.
#
# The files come out of Debian's package dataset-fashion-mnist, which is downloaded and unpacked here and
# not installed: no root is needed. Files that are already right are left alone.
set -euo pipefail

package=dataset-fashion-mnist
folder="$(cd "$(dirname "$0")" && pwd)/data/fashion-mnist"

# SHA-256 of the unpacked files: archives differ in how they were compressed, the images do not.
sums="\
c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888  train-images-idx3-ubyte.gz
bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9  train-labels-idx1-ubyte.gz
5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b  t10k-images-idx3-ubyte.gz
0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34  t10k-labels-idx1-ubyte.gz"

fail() {
    echo "fetch-fashion-mnist: $1" >&2
    exit 1
}

# Prints the first file of folder $1 that is missing or wrong; nothing when all four are right.
first_wrong() {
    local sum name found
    while read -r sum name; do
        found=$(gzip -dc "$1/$name" 2>/dev/null | sha256sum) || found=
        if [ "${found%% *}" != "$sum" ]; then
            echo "$name"
            return
        fi
    done <<<"$sums"
}

for tool in gzip sha256sum; do
    command -v "$tool" >/dev/null || fail "needs \`$tool\`, which was not found"
done

if [ -z "$(first_wrong "$folder")" ]; then
    echo "Fashion-MNIST is there: $folder"
    exit 0
fi

if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    cat >&2 <<END
fetch-fashion-mnist: this system has no apt-get and dpkg-deb, so the files must be brought by hand.
Put these four into $folder :
$(awk '{ print "  " $2 }' <<<"$sums")
They are in the folder data/fashion of the GitHub project zalandoresearch/fashion-mnist (MIT), and in
usr/share/datasets/fashion-mnist of Debian's package $package. Then run this script again:
it checks that they are the right ones.
END
    exit 1
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

echo "Downloading the Debian package $package (31 MB)"
if ! (cd "$scratch" && apt-get download -q "$package") >"$scratch/log" 2>&1; then
    cat "$scratch/log" >&2
    fail "apt-get could not download $package. If it does not know the package, its lists are missing or old: \`apt-get update\` as root, then run this again. (On Ubuntu it is in \"universe\".)"
fi
dpkg-deb -x "$scratch/$package"_*.deb "$scratch/unpacked"

unpacked="$scratch/unpacked/usr/share/datasets/fashion-mnist"
wrong=$(first_wrong "$unpacked")
[ -z "$wrong" ] || fail "$wrong of the downloaded package is missing or is not the file that was expected (SHA-256 differs)"

mkdir -p "$folder"
while read -r _ name; do
    cp "$unpacked/$name" "$folder/$name.part"
    mv "$folder/$name.part" "$folder/$name"
done <<<"$sums"
echo "Fashion-MNIST is in $folder"
