"""How much the view of histories holds of a user."""

# Long enough for every user of a shop; bounds the row of a robot.
MAX_HISTORY_ITEMS = 1000
RECENT_EVENTS = 50
# What is older says nothing of the session, and a long log need not be searched for it.
RECENT_DAYS = 28
