package flowlog_test

func writeForever(string) {}
