"""Where results go, a folder or a store, and what a batch makes of all of them: its page, summary and best moments."""
