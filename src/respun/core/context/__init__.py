"""Context: which messages of a thread one run sends to its model, and how they are put in order.

What does not fit is first shortened, then the least important is left out; nothing is ever destroyed. No model is
asked, nothing is random: the same thread, question and budget give the same selection.
"""
