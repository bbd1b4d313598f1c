"""The commands, one short file each."""

COMMANDS = {
    "train": "train a network",
    "tune": "search for hyper-parameters",
    "status": "see how runs stand",
    "stop": "stop runs",
    "report": "a page about a run",
    "data": "datasets: list, fetch, show",
    "simulate": "a run in virtual time: how long, for how much",
    "optimize": "the memory and workers that cost least",
    "deploy": "put nnlite on AWS Lambda or OpenFaaS, or remove it",
}  # name, and module of this folder -> what it does
