"""The steps of the flow: compress, verify, decode over a link, measure, report; each a function of its inputs."""
