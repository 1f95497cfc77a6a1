"""Versions of datasets: what they are called, what is written of them, and the store that keeps them.

A store is a folder or a place in a bucket. It holds each file once, by its content, and a short record for each
version of a dataset:

    STORE/blobs/sha256/HEX            what is in a file
    STORE/manifests/HEX.json          which files make up a version, with rows and columns
    STORE/names/NAME/000003.json      which version NAME's third is, or that it was pruned
    STORE/pushes/*, STORE/prunes/*    what is under way

A version is the digest of its files, as `mooring_artifacts.digests` makes it: what a verdict calls `testDataDigest`.
So the same content is the same version, whatever the dataset is called. Records are created, and replaced only where
their version is pruned: a number is taken by one writer, and what is not recorded does not exist for readers.
"""
