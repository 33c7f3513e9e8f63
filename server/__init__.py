"""What Bon Moment adds inside Rasa's own processes: where conversations are kept, how they are locked, how the door
speaks to Rasa, what is written in the logs. `python -m server` starts Rasa, or the action server, with it.
"""
