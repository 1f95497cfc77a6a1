"""The image that the steps of compiled pipelines run in."""

COMPONENTS_IMAGE = "localhost/mooring/components:0.1.0"
