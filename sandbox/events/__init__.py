"""What the systems tell by themselves: events to a receiver's address, in each vendor's own form, sent again until they are taken."""
