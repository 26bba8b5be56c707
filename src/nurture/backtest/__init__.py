"""The past under other rules, and the chance that it gives: SQL says which event earns which points, numpy adds up."""
