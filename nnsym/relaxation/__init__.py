"""What linear relaxations are solved for, many of them in one worker job: cut rounds, and bounds of linear forms."""
