"""What a canary's numbers say: decisions with a stated error rate, however often one looks.

`bets` and `dense` turn one look at two counters into evidence, `bursts` says how bursty traffic is, `comparison` keeps
both through a rollout, `latency` makes looks of histograms, `thresholds` judges plain measurements, and `judgement`
puts several metrics together.
"""
