"""Tests that a ``DriftMonitor`` makes of each feature."""

from typing import Annotated

from pydantic import Field

from mooring_operator.api.types import Model


class KolmogorovSmirnov(Model):
    """Two-sample Kolmogorov-Smirnov test per numeric feature, corrected for the number of features."""

    alpha: Annotated[
        float,
        Field(
            gt=0, lt=1, description="False discovery rate over all features (Benjamini and Hochberg 1995)."
        ),
    ] = 0.01


class PopulationStability(Model):
    """Population stability index per feature."""

    threshold: Annotated[float, Field(gt=0, description="Index from which a feature counts as drifted.")] = (
        0.2
    )
    bins: Annotated[int, Field(ge=2, le=100, description="Quantile bins of the baseline.")] = 10


class Plain(Model):
    """Well-known thresholds for each feature by itself: no correction for their number, and no size that matters."""

    alpha: Annotated[
        float,
        Field(
            gt=0, lt=1, description="P-value of Kolmogorov-Smirnov, or chi-square, below which one drifted."
        ),
    ] = 0.05
    psi: Annotated[float, Field(gt=0, description="Population stability index from which one drifted.")] = 0.2


class Detectors(Model):
    """Tests that are made per feature; ks and psi when spec.detectors is left out."""

    ks: Annotated[KolmogorovSmirnov | None, Field(description="Kolmogorov-Smirnov test.")] = None
    psi: Annotated[PopulationStability | None, Field(description="Population stability index.")] = None
    plain: Annotated[
        Plain | None,
        Field(description="Plain rules in their place. With 50 features most quiet windows name one."),
    ] = None


Detectors.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": [
        {
            "rule": "has(self.ks) || has(self.psi) ? !has(self.plain) : has(self.plain)",
            "message": "spec.detectors needs ks, psi or both, or plain alone",
        }
    ]
}
