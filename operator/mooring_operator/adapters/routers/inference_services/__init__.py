"""KServe's InferenceServices, for the routers that serve with one per ModelDeployment."""
