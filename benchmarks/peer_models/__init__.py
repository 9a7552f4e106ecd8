"""The peers, a file a library. They run in an environment of their own: nothing here imports our packages but
recsys.metrics, which needs numpy alone; ease.py, which runs in ours, the closed form of features.regression."""
