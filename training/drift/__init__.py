"""What has moved since the champion was trained: features, scores, clicks, users, items, topics, feedback."""
