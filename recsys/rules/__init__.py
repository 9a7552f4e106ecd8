"""What a surface does with scores: which items may be shown, and who stands where. docs/rules.md has the whole of it.

expression   conditions over the columns of the items
relevance    scores of any scale as numbers from 0 to 1, and boosts
diversity    what an item is worth beside those above it
exploration  who changes places by chance, and how probable that was
arrange      the places, from the first to the last: pins, caps and diversity, then exploration
"""
